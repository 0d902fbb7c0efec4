//! What happens to a hyperty without its asking.

use byline::{
    CommandError, Create, Invitation, Notification, Notifications, Refusal, Reporter, Runtime,
    State,
};
use serde_json::json;

use crate::common::{OBJECT, bounded, node, observe, report, runtime, until};

async fn invited(notifications: &mut Notifications) -> Invitation {
    match notifications.next().await {
        Some(Notification::Invited(invitation)) => invitation,
        other => panic!("{other:?}"),
    }
}

/// An object that nobody may read who is not invited.
async fn closed_object(runtime: &Runtime) -> Reporter {
    let create = Create::new("Context", json!({"n": 1}))
        .at(OBJECT)
        .name("kitchen");
    let reporter = runtime.syncher("report").unwrap().create(create).unwrap();
    reporter.claimed().await.unwrap();
    reporter
}

async fn refused(reporter: &Reporter, to: &Runtime) -> Refusal {
    match reporter.invite(to.identity().as_str()).await {
        Err(CommandError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_is_invited_comes_or_says_why_not() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        bob.delivered().await.unwrap();
        let reporter = closed_object(&ann).await;
        let reader = bob.syncher("observe").unwrap();
        let mut notifications = reader.notifications();
        let comes = async {
            let invitation = invited(&mut notifications).await;
            assert_eq!(invitation.object().as_str(), OBJECT);
            assert_eq!(invitation.identity(), Some(&ann.identity()));
            assert_eq!(
                (invitation.schema(), invitation.name()),
                (Some("Context"), Some("kitchen"))
            );
            let observer = reader.subscribe(OBJECT).unwrap();
            invitation.accept();
            until(&observer, |state| *state == State::Live).await;
        };
        let identity = bob.identity();
        let (asked, ()) = tokio::join!(reporter.invite(identity.as_str()), comes);
        asked.unwrap();
        let declines = async {
            invited(&mut notifications).await.reject("not today");
            drop(invited(&mut notifications).await);
        };
        let asks = async {
            let refusal = refused(&reporter, &bob).await;
            assert_eq!((refusal.code, &*refusal.desc), (403, "not today"));
            assert_eq!(refused(&reporter, &bob).await.code, 403);
        };
        tokio::join!(declines, asks);
    })
    .await;
}

#[tokio::test]
async fn who_invites_somebody_that_takes_no_invitations_is_told_so() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        bob.delivered().await.unwrap();
        let reporter = closed_object(&ann).await;
        assert_eq!(refused(&reporter, &bob).await.code, 404);
        let notifications = bob.syncher("observe").unwrap().notifications();
        let goes = async {
            // When this is answered, what was asked before has come.
            ann.delivered().await.unwrap();
            ann.delivered().await.unwrap();
            bob.delivered().await.unwrap();
            drop(notifications);
        };
        assert_eq!(tokio::join!(refused(&reporter, &bob), goes).0.code, 404);
    })
    .await;
}

#[tokio::test]
async fn a_hyperty_is_told_that_it_was_put_out_or_that_an_object_is_over() {
    bounded(async {
        let node = node();
        let (ann, bob, eve) = (runtime(&node), runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let (_kicked, _other) = (observe(&eve).await, observe(&bob).await);
        let mut put_out = eve.syncher("observe").unwrap().notifications();
        let mut deleted = bob.syncher("observe").unwrap().notifications();
        // Never let in: that is no news.
        let _waits = eve
            .syncher("observe")
            .unwrap()
            .subscribe("ctxt://localhost/none")
            .unwrap();
        reporter
            .kick(eve.identity().as_str(), "no shouting")
            .await
            .unwrap();
        match put_out.next().await {
            Some(Notification::PutOut(object, why)) => {
                assert_eq!((object.as_str(), &*why.desc), (OBJECT, "no shouting"));
            }
            other => panic!("{other:?}"),
        }
        reporter.delete().await.unwrap();
        match deleted.next().await {
            Some(Notification::Deleted(object)) => assert_eq!(object.as_str(), OBJECT),
            other => panic!("{other:?}"),
        }
        let ended = tokio::spawn(async move { put_out.next().await.is_none() });
        tokio::task::yield_now().await;
        eve.close().await;
        assert!(ended.await.unwrap());
    })
    .await;
}
