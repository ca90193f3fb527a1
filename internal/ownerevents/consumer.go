// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package ownerevents follows what dojot's x509-identity-mgmt tells on Kafka about who owns a certificate.
//
// A Consumer reads all matching topics by itself, without a group, from a minute before its start on. It says which changes there were,
// and when some may have been missed; what follows from that is for others to decide. A Kafka that is away, slow or wrong
// costs it bounded memory, is told to operators, and ends nothing.
package ownerevents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/untrusted"
)

// Bounds of what is taken from Kafka at a time. An answer with more than maxResponse is not read.
const (
	maxFetch        = 1 << 20 // of each broker, in bytes
	maxFetchOfPart  = 256 << 10
	maxResponse     = 16 << 20 // some 100 000 topics in an answer about metadata
	maxDecompressed = 16 << 20 // of a batch
	maxPolled       = 512      // events
)

const (
	// metadataAge is how soon a new topic is found, that of a new tenant, and that partitions have moved.
	metadataAge = 3 * time.Second
	// fetchWait is how long a broker waits for events before it answers that there are none.
	fetchWait = time.Second
	// requestTimeout is how long an answer may take beyond that.
	requestTimeout = 10 * time.Second
	// dialTimeout is for the TCP and the TLS handshake with a broker.
	dialTimeout = 5 * time.Second

	// OldAge is the age from which an event is no more than a reason to ask: such a one comes after Kafka was away, and by
	// then certificate-acl knows it, and what has come after it.
	OldAge = 10 * time.Minute
	// rewind is how far before the start, or the discovery of a gap, reading begins: certificate-acl may learn of an event
	// later than Kafka, if both are restarted, and clocks differ.
	rewind = time.Minute
	// minPause and maxPause are how long to wait before reading begins anew.
	minPause = time.Second
	maxPause = 5 * time.Minute
)

// Config is what a Consumer needs. All funcs are called by Run, one after the other.
type Config struct {
	Brokers []string // host:port
	Topics  string   // a regular expression
	Access  Access   // to the brokers

	// Valid judges owners; one that it refuses is as good as unknown.
	Valid func(owner string) error
	// Changed is told of an event whose owner is known. It is Told if it counts, Outdated if it happened before another one
	// of the same certificate, and Asked if that is not clear. At is set, and may be a time that is still to come.
	Changed func(Event) Result
	// Unclear is told of an event after which the owner has to be asked for, and reports whether it is not Outdated.
	Unclear func(Event) bool
	// Missed is told that events may have been missed, and why, in a word.
	Missed func(Gap)
	// Observe, if not nil, is told what has become of each event, and how long after its publication.
	Observe func(Type, Result, time.Duration)

	Logger *slog.Logger // nil = discard
}

// Check connects to Kafka once, and returns how many topics match. The error says what keeps Run from reading them.
func Check(ctx context.Context, cfg Config) (topics int, err error) {
	if err := cfg.Access.Check(); err != nil {
		return 0, err
	}
	pattern, err := regexp.Compile(cfg.Topics)
	if err != nil {
		return 0, err
	}
	c := New(cfg)
	client, err := kgo.NewClient(c.connection()...)
	if err != nil {
		return 0, fmt.Errorf("setting up the Kafka client: %w", err)
	}
	defer client.Close()
	there, err := matchingTopics(ctx, client, pattern, probeTimeout)
	if err != nil {
		return 0, errors.New(untrusted.Text(err.Error()))
	}
	return len(there), nil
}

// A Result says what has become of an event; its text is fit for a metric label.
type Result string

// The results.
const (
	Told      Result = "told"      // it says whose the certificate is now
	Asked     Result = "asked"     // it is old or unclear: certificate-acl is asked
	Outdated  Result = "outdated"  // one that happened later came before it
	Foreign   Result = "foreign"   // no event of an ownership
	Malformed Result = "malformed" // not what x509-identity-mgmt publishes
	TooLarge  Result = "too_large"
)

// Results returns every result there is.
func Results() []Result { return []Result{Told, Asked, Outdated, Foreign, Malformed, TooLarge} }

// Types returns every type there is.
func Types() []Type { return []Type{Create, Update, Delete, Other} }

// A Gap says why events may have been missed; its text is fit for a metric label.
type Gap string

// The gaps.
const (
	Reconnected Gap = "reconnected" // Kafka was away
	Truncated   Gap = "truncated"   // Kafka has lost or deleted events that were not read
	Unreadable  Gap = "unreadable"  // something that is no event, or an error, stood in the way
)

// Gaps returns every gap there is.
func Gaps() []Gap { return []Gap{Reconnected, Truncated, Unreadable} }

// A Consumer follows events. Run does; Status may be called at any time, from any goroutine.
type Consumer struct {
	cfg    Config
	health health

	mu   sync.Mutex // guards what follows
	lags map[partition]int64
	last time.Time // when the last event came
	gaps map[Gap]uint64
}

type partition struct {
	topic  string
	number int32
}

// New returns a Consumer that does nothing before Run.
func New(cfg Config) *Consumer {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Consumer{cfg: cfg, lags: make(map[partition]int64), gaps: make(map[Gap]uint64)}
	c.health.init(cfg.Logger)
	return c
}

// Run follows events until ctx ends. The error says that the configuration is wrong; Kafka's troubles are not errors.
func (c *Consumer) Run(ctx context.Context) error {
	matches, err := regexp.Compile(c.cfg.Topics)
	if err != nil {
		return err
	}
	from, pause := time.Now().Add(-rewind), minPause
	for ctx.Err() == nil {
		client, err := kgo.NewClient(c.options()...)
		if err != nil {
			return fmt.Errorf("setting up the Kafka client: %w", err)
		}
		began := time.Now()
		gap, err := c.follow(ctx, client, &assigner{client: client, matches: matches, from: from, reading: make(map[string]*reading)})
		client.Close()
		if ctx.Err() != nil {
			return nil
		}
		c.missed(gap, err)
		from = time.Now().Add(-rewind)
		if tooLarge := (*kgo.ErrDecompressTooLarge)(nil); errors.As(err, &tooLarge) {
			from = time.Now() // lest the same batch be met again
		}
		if time.Since(began) > maxPause {
			pause = minPause
		}
		sleep(ctx, pause)
		pause = min(2*pause, maxPause)
	}
	return nil
}

// options make a client that reads what it is assigned. What cannot be read on, since it is lost, is an error for follow and
// not for the client to get over.
func (c *Consumer) options() []kgo.Opt {
	return append(c.connection(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.MetadataMaxAge(metadataAge),
		kgo.MetadataMinAge(min(metadataAge, time.Second)),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMaxPartitionBytes(maxFetchOfPart),
		kgo.MaxDecompressBatchBytes(maxDecompressed),
		kgo.WithHooks(&c.health),
	)
}

// connection is how a client reaches Kafka.
func (c *Consumer) connection() []kgo.Opt {
	return []kgo.Opt{
		kgo.ClientID("vernegate"),
		kgo.SeedBrokers(c.cfg.Brokers...),
		kgo.BrokerMaxReadBytes(maxResponse),
		kgo.FetchMaxBytes(maxFetch), // which must not be more
		kgo.RequestTimeoutOverhead(requestTimeout),
		kgo.DisableClientMetrics(),
		kgo.Dialer(c.cfg.Access.dial),
		kgo.SASL(c.cfg.Access.mechanisms()...),
	}
}

// follow reads events until ctx ends, or something is met after which reading has to begin anew.
func (c *Consumer) follow(ctx context.Context, client *kgo.Client, assigner *assigner) (Gap, error) {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	returned, unassigned := make(chan struct{}, 1), make(chan error, 1)
	beside.Go(func() { c.health.watch(ctx, client.Ping, returned) })
	beside.Go(func() { unassigned <- assigner.run(ctx) })
	for {
		select {
		case <-returned:
			c.missed(Reconnected, nil)
		case err := <-unassigned:
			return Unreadable, err
		default:
		}
		polled, done := context.WithTimeout(ctx, fetchWait)
		fetches := client.PollRecords(polled, maxPolled)
		done()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		throttle := throttleFor(fetches.NumRecords())
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { c.handlePartition(p, throttle) })
		for _, e := range fetches.Errors() {
			gap, fatal := judge(e.Err)
			if fatal {
				return gap, fmt.Errorf("reading partition %d of %s: %w", e.Partition, untrusted.Text(e.Topic), e.Err)
			}
			if gap != "" {
				c.missed(gap, e.Err)
			}
		}
		c.health.setTopics(len(client.GetConsumeTopics()))
	}
}

// judge says what an error of a partition means: a gap, and whether reading has to begin anew.
func judge(err error) (gap Gap, fatal bool) {
	lost := (*kgo.ErrDataLoss)(nil)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled): // of the poll
		return "", false
	case errors.As(err, &lost): // and the client reads on
		return Truncated, false
	case isTruncated(err):
		return Truncated, true
	}
	return Unreadable, true
}

// missed says that events may have been missed.
func (c *Consumer) missed(gap Gap, err error) {
	c.mu.Lock()
	c.gaps[gap]++
	if gap != Reconnected {
		clear(c.lags)
	}
	c.mu.Unlock()
	attrs := []any{"why", string(gap)}
	if err != nil {
		attrs = append(attrs, "err", untrusted.Text(err.Error()))
	}
	c.cfg.Logger.Warn("events of owners may have been missed", attrs...)
	c.cfg.Missed(gap)
}

// throttleFor spreads the handling of so many events, so that live sessions do not feel it; but not of as many as are taken
// at a time, as others wait behind them then.
func throttleFor(events int) *pace.Throttle {
	if events >= maxPolled {
		return nil
	}
	return pace.NewThrottle(nil)
}

// handlePartition handles the events of a partition in their order.
func (c *Consumer) handlePartition(p kgo.FetchTopicPartition, throttle *pace.Throttle) {
	for _, record := range p.Records {
		throttle.Yield()
		c.handle(record)
	}
	if n := len(p.Records); n > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = time.Now()
		c.lags[partition{p.Topic, p.Partition}] = max(0, p.HighWatermark-p.Records[n-1].Offset-1)
	}
}

// handle passes an event on, or skips it.
func (c *Consumer) handle(r *kgo.Record) {
	event, err := Decode(r.Value, c.cfg.Valid)
	now := time.Now()
	if event.At.IsZero() {
		event.At = r.Timestamp
	}
	result := c.act(event, err, now)
	if err != nil {
		event.Type = Other
		c.cfg.Logger.Debug("an event is skipped", "topic", untrusted.Text(r.Topic), "partition", r.Partition, "offset", r.Offset, "err", err)
	}
	if c.cfg.Observe != nil {
		c.cfg.Observe(event.Type, result, max(0, time.Since(r.Timestamp)))
	}
}

func (c *Consumer) act(event Event, err error, now time.Time) Result {
	switch {
	case err == errTooLarge:
		return TooLarge
	case err == errForeign:
		return Foreign
	case err != nil:
		return Malformed
	case event.Unclear != nil, now.Sub(event.At) > OldAge:
		if c.cfg.Unclear(event) {
			return Asked
		}
	default:
		return c.cfg.Changed(event)
	}
	return Outdated
}

// Status is how following goes.
type Status struct {
	State     State
	Since     time.Time // of State
	LastError string    // of the last trouble, "" = there was none; it may be over
	Failures  uint64    // requests and connections that went wrong
	Answered  time.Time // when a broker has last answered; zero = never
	Topics    int       // that match
	Lag       int64     // events that are in Kafka and not read
	LastEvent time.Time // when one came; zero = never
	Gaps      map[Gap]uint64
}

// Status returns how following goes.
func (c *Consumer) Status() Status {
	s := c.health.status()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.LastEvent, s.Gaps = c.last, make(map[Gap]uint64)
	for _, gap := range Gaps() {
		s.Gaps[gap] = c.gaps[gap]
	}
	for _, lag := range c.lags {
		s.Lag += lag
	}
	return s
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
