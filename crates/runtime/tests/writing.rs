//! Creating an object and writing on it.

use byline::{CallError, Change, Create, Origin, Path, Runtime, State, WriteError};
use serde_json::{Map, Value, json};

use crate::common::{Folder, Mirror, OBJECT, bounded, node, observe, public, report, runtime};

type Write<'a> = dyn Fn() -> Result<bool, WriteError> + 'a;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

#[tokio::test]
async fn each_way_of_writing_is_one_step_of_a_copy() {
    bounded(async {
        let (node, start) = (
            node(),
            json!({"lamp": false, "seats": [1, 2, 3], "note": "a"}),
        );
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, start.clone()).await;
        let observer = observe(&bob).await;
        let mut mirror = Mirror::of(&observer);
        let first = mirror.step().await;
        assert_eq!((first.origin, &mirror.data), (Origin::Snapshot, &start));

        let writes: [&Write<'_>; 5] = [
            &|| reporter.update(|data| data["note"] = json!("ab")),
            &|| reporter.set(&path("lamp"), true),
            &|| reporter.remove(&path("note")),
            &|| reporter.replace(json!({"lamp": true, "seats": [1, 3, 4], "new": {}})),
            &|| {
                let set = |at, value| Change::Set {
                    path: path(at),
                    value,
                };
                reporter.write(vec![
                    set("seats.0", json!(9)),
                    set("new.deep", json!([null])),
                ])
            },
        ];
        for (number, write) in (1..).zip(writes) {
            assert!(write().unwrap());
            let step = mirror.step().await;
            assert_eq!((step.origin, step.position.version), (Origin::Live, number));
            assert_eq!(mirror.data, *reporter.data(), "write {number}");
            let (position, hash) = reporter.head().unwrap();
            let copy = observer.snapshot().unwrap();
            assert_eq!(
                (copy.position, copy.hash),
                (position, hash),
                "write {number}"
            );
        }
        assert_eq!(
            mirror.data,
            json!({"lamp": true, "seats": [9, 3, 4], "new": {"deep": [null]}})
        );
    })
    .await;
}

#[tokio::test]
async fn a_write_that_fails_changes_nothing() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"list": [1], "text": "x"})).await;
        let observer = observe(&bob).await;
        let mut mirror = Mirror::of(&observer);
        mirror.step().await;
        let (data, head) = (reporter.data(), reporter.head());

        let set = |at: &str, value: Value| Change::Set {
            path: path(at),
            value,
        };
        let halfway = || vec![set("text", json!("y")), set("list.7", json!(1))];
        let failing: [(&str, &Write<'_>); 9] = [
            ("the second of two", &|| reporter.write(halfway())),
            ("no key to remove", &|| reporter.remove(&path("gone"))),
            ("no element to replace", &|| {
                reporter.set(&path("list.1"), 2)
            }),
            ("no parent", &|| reporter.set(&path("gone.deep"), 1)),
            ("a parent that is text", &|| {
                reporter.set(&path("text.deep"), 1)
            }),
            ("no object", &|| reporter.replace(json!([]))),
            ("no object by update", &|| {
                reporter.update(|data| *data = Value::Null)
            }),
            ("2^53 + 1", &|| {
                reporter.set(&path("text"), 9_007_199_254_740_993_u64)
            }),
            ("too large", &|| {
                reporter.set(&path("text"), "x".repeat(5 << 20))
            }),
        ];
        for (what, write) in failing {
            assert!(write().is_err(), "{what}");
            assert_eq!(
                (reporter.data(), reporter.head()),
                (data.clone(), head),
                "{what}"
            );
        }
        assert!(
            !reporter.set(&path("text"), "x").unwrap(),
            "the same again is no commit"
        );
        assert!(!reporter.write(vec![]).unwrap(), "nothing is no commit");
        assert!(reporter.set(&path("text"), "z").unwrap());
        assert_eq!(
            mirror.step().await.position.version,
            1,
            "nobody saw any of it"
        );
        assert_eq!(mirror.data, json!({"list": [1], "text": "z"}));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_created_is_said_by_the_call() {
    let node = node();
    let ann = runtime(&node);
    let syncher = ann.syncher("report").unwrap();
    let create = |data: Value, at: &str| syncher.create(Create::new("Context", data).at(at));
    assert!(matches!(
        create(json!([]), OBJECT),
        Err(CallError::Write(WriteError::NotAnObject))
    ));
    assert!(matches!(
        create(json!({"a": u64::MAX}), OBJECT),
        Err(CallError::Write(_))
    ));
    assert!(matches!(
        create(json!({}), "kitchen"),
        Err(CallError::Address(_))
    ));
    assert!(matches!(
        create(json!({}), "hyperty://localhost/a"),
        Err(CallError::Address(_))
    ));
    let other = create(json!({}), "ctxt://example.org/kitchen");
    assert!(matches!(other, Err(CallError::OtherDomain { .. })));
    let _reporter = create(json!({}), OBJECT).unwrap();
    assert!(matches!(
        create(json!({}), OBJECT),
        Err(CallError::Reported(_))
    ));
    assert!(ann.syncher("a name").is_err());
}

#[tokio::test]
async fn commits_made_before_the_claim_is_answered_are_kept_in_order() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = ann
            .syncher("report")
            .unwrap()
            .create(public(json!({"n": 0})))
            .unwrap();
        assert_eq!(reporter.head(), None);
        for n in 1..=10 {
            assert!(reporter.set(&path("n"), n).unwrap());
        }
        reporter.claimed().await.unwrap();
        assert_eq!(reporter.head().unwrap().0.version, 10);
        let observer = observe(&bob).await;
        let mut mirror = Mirror::of(&observer);
        mirror.reach(10).await;
        assert_eq!(mirror.data, json!({"n": 10}));
    })
    .await;
}

#[tokio::test]
async fn somebody_elses_address_is_refused() {
    bounded(async {
        let node = node();
        let (ann, eve) = (runtime(&node), runtime(&node));
        let mine = report(&ann, json!({"by": "ann"})).await;
        let theirs = public(json!({"by": "eve"})).take().discard();
        let theirs = eve.syncher("report").unwrap().create(theirs).unwrap();
        let refusal = theirs.claimed().await.unwrap_err();
        assert_eq!(refusal.code, 403, "{refusal}");
        assert_eq!(*theirs.state().borrow(), State::Closed(refusal.clone()));
        assert_eq!(theirs.ready().await, Err(refusal));
        assert!(matches!(
            theirs.set(&path("by"), "eve"),
            Err(WriteError::Closed(_))
        ));
        assert!(mine.set(&path("by"), "Ann").unwrap());
        assert_eq!(*mine.state().borrow(), State::Live);
    })
    .await;
}

#[tokio::test]
async fn another_session_of_the_same_identity_takes_an_object_only_when_it_says_so() {
    bounded(async {
        let (node, folder) = (node(), Folder::new("take"));
        let start = || {
            Runtime::builder()
                .memory(&node)
                .key_file(folder.key())
                .start()
                .unwrap()
        };
        let (phone, laptop) = (start(), start());
        let first = report(&phone, json!({"on": "phone"})).await;
        let second = || public(json!({"on": "laptop"}));
        let held = laptop
            .syncher("report")
            .unwrap()
            .create(second().discard())
            .unwrap();
        let refusal = held.claimed().await.unwrap_err();
        assert!(
            refusal.code == 409 && refusal.desc.starts_with("held"),
            "{refusal}"
        );
        assert_eq!(*first.state().borrow(), State::Live);

        let taken = laptop
            .syncher("report")
            .unwrap()
            .create(second().discard().take())
            .unwrap();
        taken.claimed().await.unwrap();
        let mut state = first.state();
        let closed = state
            .wait_for(|state| matches!(state, State::Closed(_)))
            .await
            .unwrap();
        let State::Closed(refusal) = closed.clone() else {
            unreachable!()
        };
        drop(closed);
        assert!(refusal.desc.starts_with("superseded"), "{refusal}");
        assert!(matches!(
            first.set(&path("on"), "phone"),
            Err(WriteError::Closed(_))
        ));
        assert!(matches!(
            held.set(&path("on"), "held"),
            Err(WriteError::Closed(_))
        ));
        assert!(taken.set(&path("on"), "both").unwrap());
    })
    .await;
}

#[tokio::test]
async fn who_waits_until_ready_loses_no_commit() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        let mut mirror = Mirror::of(&observer);
        mirror.step().await;
        let writing = async {
            for n in 1..=10_000 {
                reporter.ready().await.unwrap();
                assert!(reporter.set(&path("n"), n).unwrap());
            }
        };
        let following = async {
            for n in 1..=10_000 {
                let step = mirror.step().await;
                assert_eq!((step.origin, step.position.version), (Origin::Live, n));
                assert_eq!(mirror.data, json!({"n": n}));
            }
        };
        tokio::join!(writing, following);
    })
    .await;
}

#[tokio::test]
async fn who_does_not_wait_ends_equal_all_the_same() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        let mut mirror = Mirror::of(&observer);
        for n in 1..=10_000 {
            assert!(reporter.set(&path("n"), n).unwrap());
        }
        ann.delivered().await.unwrap();
        mirror.reach(10_000).await;
        assert_eq!(mirror.data, json!({"n": 10_000}));
        assert_eq!(
            observer.snapshot().map(|s| (s.position, s.hash)),
            reporter.head()
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_delivered_is_there_for_who_comes_next() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        // Before there is a session, and before the claim is answered.
        let reporter = ann
            .syncher("report")
            .unwrap()
            .create(public(json!({"n": 0})))
            .unwrap();
        reporter.set(&path("n"), 1).unwrap();
        ann.delivered().await.unwrap();
        assert_eq!(*reporter.state().borrow(), State::Live);
        let read = bob.syncher("read").unwrap().read(OBJECT).await.unwrap();
        assert_eq!((read.position.version, &*read.data), (1, &json!({"n": 1})));
        bob.delivered()
            .await
            .expect("nothing written is delivered, too");
    })
    .await;
}

#[tokio::test]
async fn what_an_object_says_of_itself_reaches_its_observers_in_the_order_of_its_commits() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        let mut mirror = Mirror::of(&observer);
        mirror.step().await;
        let floor = |n: u32| Map::from_iter([("floor".to_owned(), json!(n))]);
        assert_eq!(reporter.describe(floor(2)), Ok(true));
        assert_eq!(reporter.describe(floor(2)), Ok(false));
        reporter.update(|data| data["n"] = json!(1)).unwrap();
        let steps = [mirror.step().await, mirror.step().await];
        assert_eq!(
            steps.map(|step| (step.metadata, step.edits.len())),
            [(true, 0), (false, 1)]
        );
        assert_eq!(observer.metadata().unwrap().more, floor(2));
        assert_eq!(
            observer.metadata().unwrap().more,
            reporter.metadata().unwrap().more
        );
        let refused = reporter.describe(Map::from_iter([("schema".to_owned(), json!("other"))]));
        assert!(
            matches!(refused, Err(WriteError::Metadata(_))),
            "{refused:?}"
        );
    })
    .await;
}
