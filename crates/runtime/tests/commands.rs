//! What a Reporter commands about its object, and what it gets back.

use byline::{Access, CallError, Change, CommandError, Runtime, State, WriteError, Written};
use serde_json::json;

use crate::common::{
    Folder, OBJECT, bounded, closed, node, observe, public, report, runtime, until,
};

#[tokio::test]
async fn a_kicked_reader_is_told_why_and_comes_again_when_it_is_allowed() {
    bounded(async {
        let node = node();
        let (ann, bob, eve) = (runtime(&node), runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let (kicked, other) = (observe(&eve).await, observe(&bob).await);
        let hyperty = eve.syncher("observe").unwrap().hyperty().clone();
        reporter
            .kick(hyperty.as_str(), "it is a private matter")
            .await
            .unwrap();
        let refusal = closed(&kicked).await;
        assert_eq!(
            (refusal.code, &*refusal.desc),
            (403, "it is a private matter")
        );
        drop(kicked);

        let again = eve.syncher("again").unwrap().subscribe(OBJECT).unwrap();
        assert_eq!(closed(&again).await.code, 403);
        drop(again);
        reporter.allow(&eve.identity().to_string()).await.unwrap();
        let again = eve.syncher("again").unwrap().subscribe(OBJECT).unwrap();
        until(&again, |state| *state == State::Live).await;
        assert_eq!(
            *other.state().borrow(),
            State::Live,
            "others were not concerned"
        );
    })
    .await;
}

#[tokio::test]
async fn who_may_observe_can_be_said_anew() {
    bounded(async {
        let node = node();
        let (ann, bob, eve) = (runtime(&node), runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let (friend, stranger) = (observe(&bob).await, observe(&eve).await);
        let access = Access {
            authorise: vec![bob.identity().to_string()],
            ..Access::default()
        };
        reporter.set_access(access).await.unwrap();
        assert_eq!(closed(&stranger).await.code, 403);
        reporter.update(|data| data["n"] = json!(1)).unwrap();
        let mut changes = friend.changes();
        while changes.next().await.unwrap().position.version < 1 {}
        assert_eq!(stranger.data().unwrap()["n"], 0, "it gets nothing more");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_object_is_over_after_its_last_commit() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        for n in 1..=100 {
            reporter.update(|data| data["n"] = json!(n)).unwrap();
        }
        reporter.delete().await.unwrap();
        assert_eq!(closed(&observer).await.code, 410);
        assert_eq!(observer.data().unwrap()["n"], 100);
        assert!(matches!(
            reporter.update(|data| data["n"] = json!(0)),
            Err(WriteError::Closed(_))
        ));
        assert_eq!(reporter.rejected().await, None);
        let again = ann
            .syncher("report")
            .unwrap()
            .create(public(json!({})).discard())
            .unwrap();
        assert_eq!(again.claimed().await.unwrap_err().code, 410);
    })
    .await;
}

#[tokio::test]
async fn a_command_that_cannot_be_is_refused() {
    bounded(async {
        let node = node();
        let (ann, eve) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"by": "ann"})).await;
        let theirs = eve
            .syncher("report")
            .unwrap()
            .create(public(json!({"by": "eve"})))
            .unwrap();
        theirs.claimed().await.unwrap_err();
        let refused = theirs.set_access(Access::default()).await;
        assert!(
            matches!(refused, Err(CommandError::Call(CallError::NotReported(_)))),
            "{refused:?}"
        );
        let authorise = (0..2000).map(|n| format!("user-guid://{n}")).collect();
        let many = Access {
            authorise,
            ..Access::default()
        };
        let refused = reporter.set_access(many).await;
        assert!(
            matches!(&refused, Err(CommandError::Refused(refusal)) if refusal.code == 413),
            "{refused:?}"
        );
        ann.close().await;
        assert!(matches!(
            reporter.delete().await,
            Err(CommandError::Refused(_))
        ));
    })
    .await;
}

#[tokio::test]
async fn what_was_written_beside_the_object_comes_back() {
    bounded(async {
        let (node, folder) = (node(), Folder::new("rejected"));
        let start = || {
            Runtime::builder()
                .memory(&node)
                .key_file(folder.key())
                .start()
                .unwrap()
        };
        let (phone, laptop) = (start(), start());
        let first = report(&phone, json!({"n": 1})).await;
        let create = public(json!({"n": 0})).take();
        let second = laptop.syncher("report").unwrap().create(create).unwrap();
        for n in [8, 9] {
            second.update(|data| data["n"] = json!(n)).unwrap();
        }
        let set = |n| Written {
            changes: vec![Change::Set {
                path: "n".parse().unwrap(),
                value: json!(n),
            }],
            ..Written::default()
        };
        assert_eq!(second.clone().rejected().await, Some(vec![set(8), set(9)]));
        second.claimed().await.unwrap();
        assert_eq!(
            *second.data(),
            json!({"n": 1}),
            "it goes on from the object"
        );
        assert!(second.update(|data| data["n"] = json!(2)).unwrap());
        assert_eq!(
            first.rejected().await,
            None,
            "it lost the object, and no commit"
        );
    })
    .await;
}
