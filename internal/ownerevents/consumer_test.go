// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerevents_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/vernegate/vernegate/internal/ownerevents"
	"github.com/vernegate/vernegate/truststore/certtest"
)

const (
	pattern = `^.*dojot\.x509-identity-mgmt\.certificates$`
	suffix  = "dojot.x509-identity-mgmt.certificates"
	admin   = "admin." + suffix
)

// patience is for a machine that is busy. What is waited for comes within a second, new topics within some, and the client
// takes half a minute to be sure that a topic is another one than before.
const patience = 2 * time.Minute

// kafka is a Kafka in this process.
func kafka(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(2)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// A publisher publishes events.
type publisher struct {
	t      *testing.T
	client *kgo.Client
}

func publish(t *testing.T, cluster *kfake.Cluster, options ...kgo.Opt) *publisher {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(100),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &publisher{t, client}
}

func (p *publisher) send(topic, value string) {
	p.t.Helper()
	p.sendAt(time.Now(), topic, value)
}

// create makes a topic with something in it that is too old to be read.
func (p *publisher) create(topic string) {
	p.t.Helper()
	p.sendAt(time.Now().Add(-2*time.Minute), topic, "old")
}

func (p *publisher) sendAt(at time.Time, topic, value string) {
	p.t.Helper()
	if err := p.try(&kgo.Record{Topic: topic, Value: []byte(value), Timestamp: at}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *publisher) try(r *kgo.Record) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	return p.client.ProduceSync(ctx, r).FirstErr()
}

// A journal is what a Consumer has said.
type journal struct {
	t        *testing.T
	consumer *ownerevents.Consumer
	logs     bytes.Buffer // guarded by mu

	mu   sync.Mutex
	said []string
	news chan struct{}
}

// Write implements io.Writer for the log.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.logs.Write(p)
}

func (j *journal) log() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.logs.String()
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.said = append(j.said, fmt.Sprintf(format, args...))
	select {
	case j.news <- struct{}{}:
	default:
	}
}

// follow runs a consumer for as long as the test runs.
func follow(t *testing.T, change func(*ownerevents.Config)) *journal {
	t.Helper()
	j := &journal{t: t, news: make(chan struct{}, 1)}
	cfg := ownerevents.Config{
		Topics: pattern,
		Valid: func(owner string) error {
			if strings.Contains(owner, "+") {
				return fmt.Errorf("no username")
			}
			return nil
		},
		Changed: func(e ownerevents.Event) ownerevents.Result {
			j.note("%s %02x %s", e.Type, e.Fingerprint[0], e.Owner)
			switch e.Owner {
			case "admin:outdated":
				return ownerevents.Outdated
			case "admin:doubtful":
				return ownerevents.Asked
			}
			return ownerevents.Told
		},
		Unclear: func(e ownerevents.Event) bool { j.note("unclear %02x", e.Fingerprint[0]); return true },
		Missed:  func(gap ownerevents.Gap) { j.note("missed: %s", gap) },
		Observe: func(kind ownerevents.Type, result ownerevents.Result, _ time.Duration) {
			j.note("= %s %s", kind, result)
		},
		Logger: slog.New(slog.NewTextHandler(j, nil)),
	}
	change(&cfg)
	j.consumer = ownerevents.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.consumer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return j
}

// wants waits until all of this was said, in any order, and not more.
func (j *journal) wants(want ...string) {
	j.t.Helper()
	slices.Sort(want)
	deadline := time.After(patience)
	for {
		j.mu.Lock()
		said := slices.Sorted(slices.Values(j.said))
		if len(said) >= len(want) {
			j.said = nil
		}
		j.mu.Unlock()
		if len(said) >= len(want) {
			if !slices.Equal(said, want) {
				j.t.Errorf("got %q\nwant %q", said, want)
			}
			return
		}
		select {
		case <-j.news:
		case <-deadline:
			j.t.Fatalf("got %q\nwant %q\n%s", said, want, j.log())
		}
	}
}

// state waits for one.
func (j *journal) state(what string, is func(ownerevents.Status) bool) {
	j.t.Helper()
	for deadline := time.Now().Add(patience); !is(j.consumer.Status()); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			j.t.Fatalf("waited for %s; it is %+v\n%s", what, j.consumer.Status(), j.log())
		}
	}
}

// well waits until Kafka answers and so many topics are read.
func (j *journal) well(topics int) {
	j.t.Helper()
	j.state("well", func(s ownerevents.Status) bool { return s.State == ownerevents.Well && s.Topics == topics })
}

// event is one of the certificate whose fingerprint consists of one byte.
func event(kind string, fp byte, rest string) string { return eventAt(time.Now(), kind, fp, rest) }

func eventAt(at time.Time, kind string, fp byte, rest string) string {
	text := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%02X:", fp), 32), ":")
	return fmt.Sprintf(`{"metadata":{"tenant":"admin","timestamp":%d},"data":{"eventType":"ownership.%s","eventData":{"fingerprint":%q%s}}}`,
		at.UnixMilli(), kind, text, rest)
}

func belongsTo(device string) string { return fmt.Sprintf(`,"belongsTo":{"device":%q}`, device) }

func at(cluster *kfake.Cluster) func(*ownerevents.Config) {
	return func(c *ownerevents.Config) { c.Brokers = cluster.ListenAddrs() }
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	p := publish(t, cluster)
	p.create(admin)
	p.send(admin, event("create", 1, belongsTo("just before")))
	j := follow(t, at(cluster))
	j.wants("create 01 admin:just before", "= create told")
	p.send(admin, event("create", 2, belongsTo("a")))
	j.wants("create 02 admin:a", "= create told")
	p.send(admin, event("update", 2, belongsTo("b")))
	j.wants("update 02 admin:b", "= update told")
	p.send(admin, event("delete", 2, ""))
	j.wants("delete 02 ", "= delete told")
	p.send(admin, event("update", 3, belongsTo("outdated")))
	j.wants("update 03 admin:outdated", "= update outdated")
	p.send(admin, event("update", 3, belongsTo("doubtful")))
	j.wants("update 03 admin:doubtful", "= update asked")
	if s := j.consumer.Status(); s.Lag != 0 || s.LastEvent.IsZero() || s.Answered.IsZero() {
		t.Errorf("status is %+v", s)
	}
}

func TestCheckCountsTopics(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	p := publish(t, cluster)
	p.create(admin)
	p.create("other")
	cfg := ownerevents.Config{Brokers: cluster.ListenAddrs(), Topics: pattern}
	n, err := ownerevents.Check(t.Context(), cfg)
	if n != 1 || err != nil {
		t.Errorf("got %d topics and %v, want 1", n, err)
	}
	cluster.Close()
	if n, err := ownerevents.Check(t.Context(), cfg); err == nil {
		t.Errorf("got %d topics of a Kafka that is away", n)
	}
}

func TestWhatIsNoEventIsSkipped(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	p := publish(t, cluster)
	p.create(admin)
	j := follow(t, at(cluster))
	j.well(1)
	p.send(admin, "")
	j.wants("= other malformed")
	p.send(admin, `{"data":{"eventType":"trusted-ca.create","eventData":{}}}`)
	j.wants("= other foreign")
	p.send(admin, event("delete", 1, `,"x":"`+strings.Repeat("x", 100_000)+`"`))
	j.wants("= other too_large")
	p.send(admin, event("create", 1, belongsTo("+")))
	j.wants("unclear 01", "= create asked")
	p.send(admin, eventAt(time.Now().Add(-time.Hour), "delete", 1, ""))
	j.wants("unclear 01", "= delete asked")
	p.send("admin.dojot.other", event("delete", 1, ""))
	p.send(admin, event("delete", 4, ""))
	j.wants("delete 04 ", "= delete told")
}

// The topic of a new tenant appears with its first event.
func TestFirstEventOfANewTopicIsRead(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	j := follow(t, at(cluster))
	j.well(0)
	p := publish(t, cluster)
	p.send("acme."+suffix, event("create", 1, belongsTo("a")))
	j.wants("create 01 admin:a", "= create told")
	p.send(suffix, event("delete", 2, "")) // that of applications
	j.wants("delete 02 ", "= delete told")
	j.well(2)
}

// An event that comes between two questions after offsets, from which a consumer concludes where to begin, is read.
func TestEventThatComesWhileReadingBeginsIsRead(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	p := publish(t, cluster)
	p.create(admin)
	questions := 0
	cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if questions++; questions == 2 {
			cluster.SleepControl(func() {
				if err := p.try(&kgo.Record{Topic: admin, Value: []byte(event("delete", 1, ""))}); err != nil {
					t.Error(err)
				}
			})
		}
		return nil, nil, false
	})
	j := follow(t, at(cluster))
	j.wants("delete 01 ", "= delete told")
}

// A broker that does not answer holds up its own partitions only.
func TestBrokerThatIsSilentHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	cluster := kafka(t, kfake.NumBrokers(2))
	p := publish(t, cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	p.create(admin)
	for node := range int32(2) {
		if err := cluster.MoveTopicPartition(admin, node, node); err != nil {
			t.Fatal(err)
		}
	}
	var silent atomic.Bool
	silent.Store(true)
	cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return nil, nil, cluster.CurrentNode() == 1 && silent.Load()
	})
	p.send(admin, event("delete", 1, ""))
	j := follow(t, at(cluster))
	j.state("the other partition", func(s ownerevents.Status) bool { return s.Topics == 1 })
	silent.Store(false) // the client may have a question of its own behind the one without an answer
	j.wants("delete 01 ", "= delete told")
}

func TestPartitionsThatAreAddedAreRead(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	publish(t, cluster).create(admin)
	j := follow(t, at(cluster))
	j.well(1)
	p := publish(t, cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	more := kmsg.NewPtrCreatePartitionsRequest()
	more.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: admin, Count: 7}}
	if _, err := more.RequestWith(t.Context(), p.client); err != nil {
		t.Fatal(err)
	}
	if err := p.try(&kgo.Record{Topic: admin, Partition: 6, Value: []byte(event("delete", 1, ""))}); err != nil {
		t.Fatal(err)
	}
	j.wants("delete 01 ", "= delete told")
}

// A topic that is deleted, and there again later, is another one.
func TestDeletedTopicIsForgotten(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	p := publish(t, cluster)
	p.create(admin)
	j := follow(t, at(cluster))
	j.well(1)
	gone := kmsg.NewPtrDeleteTopicsRequest()
	gone.TopicNames = []string{admin}
	gone.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: new(admin)}}
	if _, err := gone.RequestWith(t.Context(), p.client); err != nil {
		t.Fatal(err)
	}
	j.well(0)
	publish(t, cluster).send(admin, event("delete", 1, ""))
	j.state("event", func(s ownerevents.Status) bool { return s.Topics == 1 && !s.LastEvent.IsZero() })
}

func TestKafkaThatComesLater(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	j := follow(t, func(c *ownerevents.Config) { c.Brokers = []string{fmt.Sprintf("127.0.0.1:%d", port)} })
	j.state("away", func(s ownerevents.Status) bool {
		return s.State == ownerevents.Away && s.Failures > 0 && s.LastError != ""
	})
	cluster := kafka(t, kfake.Ports(port))
	j.wants("missed: reconnected")
	p := publish(t, cluster)
	p.send(admin, event("delete", 1, ""))
	j.wants("delete 01 ", "= delete told")
	if got := strings.Count(j.log(), "Kafka is away"); got != 1 {
		t.Errorf("warned %d times:\n%s", got, j.log())
	}
}

// A Kafka that has lost everything has other events under the numbers that were read.
func TestKafkaThatForgot(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	cluster := kafka(t, kfake.Ports(port))
	p := publish(t, cluster)
	p.create(admin)
	j := follow(t, at(cluster))
	j.well(1)
	cluster.Close()
	j.state("away", func(s ownerevents.Status) bool { return s.State == ownerevents.Away })
	cluster = kafka(t, kfake.Ports(port))
	p = publish(t, cluster)
	p.send(admin, event("delete", 1, ""))
	j.state("gaps", func(s ownerevents.Status) bool {
		return s.Gaps[ownerevents.Reconnected] == 1 && s.Gaps[ownerevents.Truncated] == 1
	})
	p.send(admin, event("delete", 2, ""))
	j.state("event", func(s ownerevents.Status) bool { return s.State == ownerevents.Well && !s.LastEvent.IsZero() })
}

func TestTruncatedLogIsAGap(t *testing.T) {
	t.Parallel()
	cluster := kafka(t)
	p := publish(t, cluster)
	p.create(admin)
	j := follow(t, at(cluster))
	j.well(1)
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fetch := request.(*kmsg.FetchRequest)
		if len(fetch.Topics) == 0 { // of a session of fetches
			cluster.KeepControl()
			return nil, nil, false
		}
		answer := fetch.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range fetch.Topics {
			lost := kmsg.NewFetchResponseTopic()
			lost.Topic, lost.TopicID = topic.Topic, topic.TopicID
			for _, part := range topic.Partitions {
				lostPart := kmsg.NewFetchResponseTopicPartition()
				lostPart.Partition, lostPart.ErrorCode = part.Partition, kerr.OffsetOutOfRange.Code
				lost.Partitions = append(lost.Partitions, lostPart)
			}
			answer.Topics = append(answer.Topics, lost)
		}
		return answer, nil, true
	})
	p.send(admin, event("delete", 1, "")) // lest the test wait for the next fetch to be full
	j.state("gap", func(s ownerevents.Status) bool { return s.Gaps[ownerevents.Truncated] == 1 })
	j.state("event", func(s ownerevents.Status) bool { return !s.LastEvent.IsZero() })
}

func TestAccessByTLSAndSASL(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("kafka")
	broker, client := ca.Issue("kafka", certtest.Server("127.0.0.1")), ca.Issue("vernegate")
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	access := ownerevents.Access{
		TLS: true, CAFile: write("ca.crt", ca.PEM()), CertFile: write("client.crt", client.CertPEM()),
		KeyFile:  write("client.key", client.KeyPEM()),
		Username: "vernegate", PasswordFile: write("password", []byte("secret\n")),
	}
	for _, mechanism := range []ownerevents.Mechanism{ownerevents.Plain, ownerevents.ScramSHA256, ownerevents.ScramSHA512} {
		t.Run(string(mechanism), func(t *testing.T) {
			t.Parallel()
			cluster := kafka(t, kfake.EnableSASL(), kfake.Superuser(string(mechanism), "vernegate", "secret"), kfake.TLS(&tls.Config{
				Certificates: []tls.Certificate{broker.TLS()}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
			}))
			with := access
			with.Mechanism = mechanism
			if err := with.Check(); err != nil {
				t.Fatal(err)
			}
			j := follow(t, func(c *ownerevents.Config) { c.Brokers, c.Access = cluster.ListenAddrs(), with })
			j.well(0)

			with.PasswordFile, with.Password = "", "wrong"
			refused := follow(t, func(c *ownerevents.Config) { c.Brokers, c.Access = cluster.ListenAddrs(), with })
			refused.state("refusal", func(s ownerevents.Status) bool { return s.State == ownerevents.Away && s.LastError != "" })
			if strings.Contains(refused.log(), "wrong") {
				t.Errorf("the password is in the log:\n%s", refused.log())
			}
		})
	}
}

func TestCheckNamesWhatIsWrongWithFiles(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]ownerevents.Access{
		"no CA file":        {TLS: true, CAFile: empty + ".none"},
		"no CA in it":       {TLS: true, CAFile: empty},
		"no pair":           {TLS: true, CertFile: empty, KeyFile: empty},
		"no password":       {Mechanism: ownerevents.Plain, PasswordFile: empty},
		"no password file ": {Mechanism: ownerevents.Plain, PasswordFile: empty + ".none"},
	} {
		if err := a.Check(); err == nil || !strings.Contains(err.Error(), empty) {
			t.Errorf("%s: got %v, want an error with the file", name, err)
		}
	}
	if err := (&ownerevents.Access{CAFile: "none", CertFile: "none", PasswordFile: "none"}).Check(); err != nil {
		t.Errorf("files that are not used: %v", err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
