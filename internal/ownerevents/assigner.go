// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerevents

import (
	"context"
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
	seen       time.Time // when the topic was last there
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
// error: health knows of it.
func (a *assigner) assign(ctx context.Context) (complete bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	there, err := matchingTopics(ctx, a.client, a.matches)
	if err != nil {
		return false, nil
	}
	a.drop(there, time.Now())
	fresh := a.fresh(there)
	begins, err := a.begins(ctx, fresh)
	if err != nil {
		return false, err
	}
	a.add(begins)
	return len(begins) == len(fresh), nil
}

// drop ends the reading of topics that were deleted.
func (a *assigner) drop(there map[string][]int32, now time.Time) {
	for topic, r := range a.reading {
		if _, found := there[topic]; found {
			r.seen = now
		} else if now.Sub(r.seen) > goneAfter {
			a.client.PurgeTopicsFromConsuming(topic)
			delete(a.reading, topic)
		}
	}
}

// fresh returns the partitions that are not read yet.
func (a *assigner) fresh(there map[string][]int32) (fresh []partition) {
	for topic, numbers := range there {
		for _, n := range numbers {
			if r := a.reading[topic]; r == nil || !r.partitions[n] {
				fresh = append(fresh, partition{topic, n})
			}
		}
	}
	return fresh
}

// begins returns at which offset reading begins, without those partitions for which that is not known yet.
func (a *assigner) begins(ctx context.Context, of []partition) (map[partition]int64, error) {
	ends, err := a.offsets(ctx, of, theEnd)
	if err != nil {
		return nil, err
	}
	begins, err := a.offsets(ctx, slices.Collect(maps.Keys(ends)), a.from.UnixMilli())
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
			a.reading[p.topic] = &reading{make(map[int32]bool), time.Now()}
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
// is none. Partitions whose brokers do not know at the moment are missing.
func (a *assigner) offsets(ctx context.Context, of []partition, since int64) (map[partition]int64, error) {
	found := make(map[partition]int64)
	if len(of) == 0 {
		return found, nil
	}
	for _, shard := range a.client.RequestSharded(ctx, listOffsets(of, since)) {
		response, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if !ok {
			continue
		}
		for _, t := range response.Topics {
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
	request.ReplicaID = -1 // that of a client
	for topic, partitions := range byTopic {
		request.Topics = append(request.Topics, kmsg.ListOffsetsRequestTopic{Topic: topic, Partitions: partitions})
	}
	return request
}

// matchingTopics returns the partitions of all topics that match, without Kafka's own ones.
func matchingTopics(ctx context.Context, client *kgo.Client, matches *regexp.Regexp) (map[string][]int32, error) {
	all := kmsg.NewPtrMetadataRequest()
	all.Topics = nil // which means all
	response, err := all.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	found := make(map[string][]int32)
	for _, t := range response.Topics {
		if t.Topic == nil || t.IsInternal || !matches.MatchString(*t.Topic) {
			continue
		}
		found[*t.Topic] = nil
		for _, p := range t.Partitions {
			found[*t.Topic] = append(found[*t.Topic], p.Partition)
		}
	}
	return found, nil
}
