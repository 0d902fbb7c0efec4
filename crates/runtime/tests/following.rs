//! Observing an object, and following the steps of the copy.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use byline::{CallError, Changed, Origin, ReadError, State};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::common::{Mirror, OBJECT, bounded, node, observe, report, runtime, until};

/// Steps that a follower may lag behind.
const QUEUE_STEPS: u64 = 1024;

#[tokio::test]
async fn an_object_that_nobody_reports_yet_is_waited_for() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let observer = bob.syncher("observe").unwrap().subscribe(OBJECT).unwrap();
        let mut mirror = Mirror::of(&observer);
        until(&observer, |state| matches!(state, State::Waiting(_))).await;
        assert_eq!((observer.data(), observer.position()), (None, None));
        let _reporter = report(&ann, json!({"a": 1})).await;
        assert_eq!(mirror.step().await.origin, Origin::Snapshot);
        assert_eq!(mirror.data, json!({"a": 1}));
        until(&observer, |state| *state == State::Live).await;
    })
    .await;
}

#[tokio::test]
async fn changes_begin_with_the_copy_as_it_is() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        let mut early = Mirror::of(&observer);
        for n in 1..=5 {
            reporter.update(|data| data["n"] = json!(n)).unwrap();
        }
        early.reach(5).await;
        let mut late = Mirror::of(&observer);
        let first = late.step().await;
        assert_eq!(
            (first.origin, first.position),
            (Origin::Snapshot, early.position)
        );
        assert_eq!(late.data, early.data);
        reporter.update(|data| data["n"] = json!(6)).unwrap();
        assert_eq!(early.step().await, late.step().await);
        assert_eq!(
            (&early.data, &late.data),
            (&json!({"n": 6}), &json!({"n": 6}))
        );
    })
    .await;
}

#[tokio::test]
async fn a_mirror_equals_the_original_at_every_step() {
    bounded(async {
        let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        println!("seed {seed}");
        let mut random = seed;
        let mut below = |limit: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % limit
        };
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"list": [], "text": "", "map": {}})).await;
        let observer = observe(&bob).await;
        let mut mirror = Mirror::of(&observer);
        mirror.step().await;
        let mut originals = BTreeMap::from([(0, reporter.data())]);
        for round in 0..400 {
            let (kind, place, value) = (below(6), below(1000), below(100));
            reporter
                .update(|data| {
                    let (list, text) = (data["list"].as_array().unwrap().len(), &data["text"]);
                    let text = format!("{}é{value}", text.as_str().unwrap());
                    let list = list as u64;
                    match kind {
                        0 => data["text"] = json!(if text.len() > 100 { "" } else { &text }),
                        1 => data["map"][format!("k{}/~.", place % 8)] = json!([value, null]),
                        2 => drop(data["map"].as_object_mut().unwrap().remove("k3/~.")),
                        3 if list > 0 => drop(elements(data).remove((place % list) as usize)),
                        4 if list > 0 => elements(data)[(place % list) as usize] = json!(value),
                        _ => elements(data)
                            .insert((place % (list + 1)) as usize, json!({"v": value})),
                    }
                })
                .unwrap();
            let (position, _) = reporter.head().unwrap();
            originals.insert(position.version, reporter.data());
            // Now and then the steps are let pile up.
            if round % 7 == 0 {
                mirror
                    .reach(position.version - below(position.version.min(5) + 1))
                    .await;
                assert_eq!(
                    Some(&Arc::new(mirror.data.clone())),
                    originals.get(&mirror.position.version)
                );
            }
        }
        let (position, hash) = reporter.head().unwrap();
        while mirror.position != position {
            mirror.step().await;
            assert_eq!(
                mirror.data, *originals[&mirror.position.version],
                "seed {seed}"
            );
        }
        assert_eq!(observer.snapshot().unwrap().hash, hash);
    })
    .await;
}

fn elements(data: &mut Value) -> &mut Vec<Value> {
    data["list"].as_array_mut().unwrap()
}

#[tokio::test]
async fn a_follower_that_falls_too_far_behind_gets_one_step_that_replaces_everything() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0, "kept": [1]})).await;
        let observer = observe(&bob).await;
        let (mut slow, mut quick) = (Mirror::of(&observer), Mirror::of(&observer));
        quick.step().await;
        let last = 2 * QUEUE_STEPS;
        for n in 1..=last {
            reporter.update(|data| data["n"] = json!(n)).unwrap();
            quick.reach(n).await;
        }
        let whole = slow.step().await;
        assert_eq!(
            (whole.origin, whole.position),
            (Origin::Snapshot, quick.position)
        );
        assert_eq!(slow.data, quick.data);
        reporter.update(|data| data["n"] = json!(0)).unwrap();
        assert_eq!(
            slow.step().await.position.version,
            last + 1,
            "and then every step again"
        );
        assert_eq!(slow.data, json!({"n": 0, "kept": [1]}));
    })
    .await;
}

#[tokio::test]
async fn a_follower_that_just_does_not_fall_too_far_behind_gets_every_step() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        let (mut slow, mut quick) = (Mirror::of(&observer), Mirror::of(&observer));
        // The copy as it was is the first step that waits.
        for n in 1..QUEUE_STEPS {
            reporter.update(|data| data["n"] = json!(n)).unwrap();
            quick.reach(n).await;
        }
        for n in 0..QUEUE_STEPS {
            assert_eq!(slow.step().await.position.version, n);
            assert_eq!(slow.data, json!({"n": n}));
        }
    })
    .await;
}

#[tokio::test]
async fn two_followers_of_one_copy_get_the_same_steps() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        let (one, other) = (observer.changes(), observer.clone().changes());
        for n in 1..=100 {
            reporter.update(|data| data["n"] = json!(n)).unwrap();
        }
        let upto = |changed: &Changed| {
            let more = changed.position.version < 100;
            async move { more }
        };
        let (one, other) = (pin!(one.take_while(upto)), pin!(other.take_while(upto)));
        let one: Vec<Changed> = one.collect().await;
        let other: Vec<Changed> = other.collect().await;
        assert_eq!(one, other);
        assert_eq!(
            one.len(),
            100,
            "the copy as it was and 99 commits before the last"
        );
    })
    .await;
}

#[tokio::test]
async fn the_copy_is_let_go_with_the_last_who_holds_it() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let syncher = bob.syncher("observe").unwrap();
        let observer = observe(&bob).await;
        let (clone, changes) = (observer.clone(), observer.changes());
        let again = || syncher.subscribe(OBJECT);
        drop(observer);
        assert!(
            matches!(again(), Err(CallError::Observed(_))),
            "a clone is left"
        );
        drop(clone);
        assert!(
            matches!(again(), Err(CallError::Observed(_))),
            "a follower is left"
        );
        drop(changes);
        reporter.update(|data| data["n"] = json!(1)).unwrap();
        let observer = again().unwrap();
        let mut mirror = Mirror::of(&observer);
        mirror.step().await;
        reporter.update(|data| data["n"] = json!(2)).unwrap();
        mirror.reach(2).await;
        assert_eq!(mirror.data, json!({"n": 2}));
    })
    .await;
}

#[tokio::test]
async fn hyperties_of_one_runtime_observe_each_for_itself() {
    bounded(async {
        let node = node();
        let ann = runtime(&node);
        let reporter = report(&ann, json!({"n": 0})).await;
        let (one, two) = (ann.syncher("one").unwrap(), ann.syncher("two").unwrap());
        let (one, two) = (
            one.subscribe(OBJECT).unwrap(),
            two.subscribe(OBJECT).unwrap(),
        );
        let (mut first, mut second) = (Mirror::of(&one), Mirror::of(&two));
        first.step().await;
        second.step().await;
        reporter.update(|data| data["n"] = json!(1)).unwrap();
        first.reach(1).await;
        second.reach(1).await;
        drop((one, first));
        reporter.update(|data| data["n"] = json!(2)).unwrap();
        second.reach(2).await;
        assert_eq!(second.data, json!({"n": 2}));
    })
    .await;
}

#[tokio::test]
async fn a_read_fetches_the_object_once() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let read = bob.syncher("read").unwrap();
        let nobody = read.read(OBJECT).await;
        assert!(matches!(nobody, Err(ReadError::Refused(refusal)) if refusal.code == 404));
        assert!(matches!(
            read.read("kitchen").await,
            Err(ReadError::Call(_))
        ));
        assert!(matches!(
            read.read("ctxt://example.org/kitchen").await,
            Err(ReadError::Call(_))
        ));
        let reporter = report(&ann, json!({"n": 0})).await;
        reporter.update(|data| data["n"] = json!(1)).unwrap();
        let snapshot = read.read(OBJECT).await.unwrap();
        assert_eq!(*snapshot.data, json!({"n": 1}));
        assert_eq!(Some((snapshot.position, snapshot.hash)), reporter.head());
    })
    .await;
}

#[tokio::test]
async fn a_private_object_is_closed_to_others() {
    bounded(async {
        let node = node();
        let (ann, eve) = (runtime(&node), runtime(&node));
        let private = byline::Create::new("Context", json!({"secret": 1})).at(OBJECT);
        let reporter = ann.syncher("report").unwrap().create(private).unwrap();
        reporter.claimed().await.unwrap();
        let observer = eve.syncher("observe").unwrap().subscribe(OBJECT).unwrap();
        let refused =
            |state: &State| matches!(state, State::Closed(refusal) if refusal.code == 403);
        until(&observer, refused).await;
        assert_eq!(observer.data(), None);
        assert_eq!(observer.changes().next().await, None);
        let read = eve.syncher("read").unwrap().read(OBJECT).await;
        assert!(matches!(read, Err(ReadError::Refused(refusal)) if refusal.code == 403));
        let _mine = observe(&ann).await;
    })
    .await;
}

#[tokio::test]
async fn an_observer_that_unsubscribes_leaves_the_others_alone() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let other = bob.syncher("other").unwrap().subscribe(OBJECT).unwrap();
        let observer = observe(&bob).await;
        let (clone, mut changes) = (observer.clone(), observer.changes());
        let mut mirror = Mirror::of(&other);
        mirror.step().await;
        observer.unsubscribe();
        assert!(changes.next().await.is_some(), "what had come before");
        assert!(changes.next().await.is_none());
        assert!(matches!(&*clone.state().borrow(), State::Closed(_)));
        assert_eq!((clone.data(), clone.position()), (None, None));
        // The seat is free, and what is left of the first Observer does no harm to the second.
        let again = observe(&bob).await;
        assert_eq!(clone.data(), None);
        assert!(clone.changes().next().await.is_none());
        drop((clone, changes));
        reporter.update(|data| data["n"] = json!(1)).unwrap();
        mirror.reach(1).await;
        Mirror::of(&again).reach(1).await;
    })
    .await;
}
