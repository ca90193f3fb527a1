// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerevents

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/vernegate/vernegate/internal/untrusted"
)

const (
	// goneAfter is how long a topic is missing before it is taken for deleted: brokers hear of a new one one after the other.
	goneAfter = 15 * time.Second
	// theEnd, as a time, asks for the offset of the next event.
	theEnd = -1
)

// An assigner tells a client which partitions to read: those of all matching topics, from the first event since a time on.
//
// The client could find that out itself, but asks for the first event since that time, and then, if there is none, for the
// end. It would never read one that comes between both. An assigner asks for the end first.
type assigner struct {
	client  *kgo.Client
	matches *regexp.Regexp
	from    time.Time

	reading map[string]*reading // by topic
}

// reading is what is read of a topic.
type reading struct {
	partitions map[int32]bool
	missing    time.Time // since when brokers have answered without the topic; zero = it is there
}

// run assigns what is there and what appears later, until ctx ends. The error is one that does not pass by itself.
func (a *assigner) run(ctx context.Context) error {
	for ctx.Err() == nil {
		complete, err := a.assign(ctx)
		if err != nil {
			return err
		}
		if complete {
			sleep(ctx, metadataAge)
		} else {
			sleep(ctx, minPause)
		}
	}
	return nil
}

// assign assigns what is not read yet, and reports whether that was possible for all of it. That Kafka does not answer is no
// error: health knows of it. A broker that does not answer holds up its own partitions only.
func (a *assigner) assign(ctx context.Context) (complete bool, err error) {
	there, err := matchingTopics(ctx, a.client, a.matches, requestTimeout)
	if err != nil {
		return false, nil
	}
	a.drop(there, time.Now())
	type answer struct {
		begins  map[partition]int64
		missing int
		err     error
	}
	fresh, answers := a.fresh(there), make(chan answer)
	for leader, partitions := range fresh {
		go func() {
			begins, err := a.begins(ctx, a.client.Broker(int(leader)), partitions)
			answers <- answer{begins, len(partitions) - len(begins), err}
		}()
	}
	missing, errs := 0, []error(nil)
	for range fresh {
		answer := <-answers
		a.add(answer.begins)
		missing += answer.missing
		errs = append(errs, answer.err)
	}
	return missing == 0, errors.Join(errs...)
}

// drop ends the reading of topics that were deleted.
func (a *assigner) drop(there topics, now time.Time) {
	for topic, r := range a.reading {
		_, found := there[topic]
		switch {
		case found:
			r.missing = time.Time{}
		case r.missing.IsZero():
			r.missing = now
		case now.Sub(r.missing) > goneAfter:
			a.client.PurgeTopicsFromConsuming(topic)
			delete(a.reading, topic)
		}
	}
}

// fresh returns the partitions that are not read yet, by the broker that has them; -1 where none has.
func (a *assigner) fresh(there topics) map[int32][]partition {
	fresh := make(map[int32][]partition)
	for topic, leaders := range there {
		for n, leader := range leaders {
			if r := a.reading[topic]; r == nil || !r.partitions[n] {
				fresh[leader] = append(fresh[leader], partition{topic, n})
			}
		}
	}
	return fresh
}

// begins returns at which offset reading begins, without those partitions for which that is not known yet.
func (a *assigner) begins(ctx context.Context, of *kgo.Broker, partitions []partition) (map[partition]int64, error) {
	ends, err := offsets(ctx, of, partitions, theEnd)
	if err != nil {
		return nil, err
	}
	begins, err := offsets(ctx, of, slices.Collect(maps.Keys(ends)), a.from.UnixMilli())
	for p, offset := range begins {
		if offset < 0 { // nothing has come since
			begins[p] = ends[p]
		}
	}
	return begins, err
}

// add has partitions read.
func (a *assigner) add(begins map[partition]int64) {
	assigned := make(map[string]map[int32]kgo.Offset)
	for p, offset := range begins {
		if a.reading[p.topic] == nil {
			a.reading[p.topic] = &reading{partitions: make(map[int32]bool)}
		}
		a.reading[p.topic].partitions[p.number] = true
		if assigned[p.topic] == nil {
			assigned[p.topic] = make(map[int32]kgo.Offset)
		}
		assigned[p.topic][p.number] = kgo.NewOffset().At(offset)
	}
	a.client.AddConsumePartitions(assigned)
}

// offsets returns the first offset of each partition whose event is not before a time, in Unix milliseconds; negative if there
// is none. What the broker does not know at the moment, or does not answer in time, is missing.
func offsets(ctx context.Context, of *kgo.Broker, partitions []partition, since int64) (map[partition]int64, error) {
	found := make(map[partition]int64)
	if len(partitions) == 0 {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := of.Request(ctx, listOffsets(partitions, since))
	if err != nil {
		return found, nil // health knows of it
	}
	for _, t := range response.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			err := kerr.ErrorForCode(p.ErrorCode)
			switch {
			case err == nil && len(p.OldStyleOffsets) > 0: // before Kafka 0.10.1
				found[partition{t.Topic, p.Partition}] = p.OldStyleOffsets[0]
			case err == nil:
				found[partition{t.Topic, p.Partition}] = p.Offset
			case !kerr.IsRetriable(err):
				return nil, fmt.Errorf("finding the first event of partition %d of %s: %w", p.Partition, untrusted.Text(t.Topic), err)
			}
		}
	}
	return found, nil
}

func listOffsets(of []partition, since int64) *kmsg.ListOffsetsRequest {
	byTopic := make(map[string][]kmsg.ListOffsetsRequestTopicPartition)
	for _, p := range of {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition, one.Timestamp, one.MaxNumOffsets = p.number, since, 1
		byTopic[p.topic] = append(byTopic[p.topic], one)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1                                       // that of a client
	request.TimeoutMillis = int32(requestTimeout.Milliseconds()) // what is behind it on its connection waits as long
	for topic, partitions := range byTopic {
		request.Topics = append(request.Topics, kmsg.ListOffsetsRequestTopic{Topic: topic, Partitions: partitions})
	}
	return request
}

// topics are the brokers that have each partition, by topic and number of the partition; -1 where none has.
type topics map[string]map[int32]int32

// matchingTopics returns all topics that match, without Kafka's own ones. It takes no longer than timeout.
func matchingTopics(ctx context.Context, client *kgo.Client, matches *regexp.Regexp, timeout time.Duration) (topics, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all := kmsg.NewPtrMetadataRequest()
	all.Topics = nil // which means all
	response, err := all.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	found := make(topics)
	for _, t := range response.Topics {
		if t.Topic == nil || t.IsInternal || !matches.MatchString(*t.Topic) {
			continue
		}
		found[*t.Topic] = make(map[int32]int32)
		for _, p := range t.Partitions {
			found[*t.Topic][p.Partition] = p.Leader
		}
	}
	return found, nil
}
