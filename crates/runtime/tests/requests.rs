//! Readers about whom the application is asked.

use std::time::Duration;

use byline::{Create, Observer, ReadError, Reporter, State};
use serde_json::json;

use crate::common::{OBJECT, bounded, closed, node, runtime, until};

fn asks() -> Create {
    Create::new("Context", json!({"n": 1})).at(OBJECT).approve()
}

async fn waits(observer: &Observer) {
    until(observer, |state| matches!(state, State::Waiting(_))).await;
}

#[tokio::test]
async fn who_is_let_in_follows_and_who_is_not_is_told_why() {
    bounded(async {
        let node = node();
        let (ann, bob, eve) = (runtime(&node), runtime(&node), runtime(&node));
        let reporter = ann.syncher("report").unwrap().create(asks()).unwrap();
        let mut requests = reporter.requests();
        let friend = bob.syncher("observe").unwrap().subscribe(OBJECT).unwrap();
        let request = requests.next().await.unwrap();
        assert_eq!(request.identity(), Some(&bob.identity()));
        assert_eq!(request.hyperty(), bob.syncher("observe").unwrap().hyperty());
        waits(&friend).await;
        request.accept();
        until(&friend, |state| *state == State::Live).await;

        let stranger = eve.syncher("observe").unwrap().subscribe(OBJECT).unwrap();
        requests.next().await.unwrap().reject("friends only");
        let refusal = closed(&stranger).await;
        assert_eq!((refusal.code, &*refusal.desc), (403, "friends only"));
        assert_eq!(stranger.data(), None);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_dropped_is_refused() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = ann.syncher("report").unwrap().create(asks()).unwrap();
        let reader = bob.syncher("observe").unwrap();
        let mut requests = reporter.requests();
        let read = async {
            match reader.read(OBJECT).await {
                Err(ReadError::Refused(refusal)) => refusal.code,
                other => panic!("{other:?}"),
            }
        };
        let decides = async {
            reporter.claimed().await.unwrap();
            let request = requests.next().await.unwrap();
            assert!(request.is_read());
            drop(request);
        };
        reporter.claimed().await.unwrap();
        let (code, ()) = tokio::join!(read, decides);
        assert_eq!(code, 403);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_held_is_over_when_its_time_is() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = ann.syncher("report").unwrap().create(asks()).unwrap();
        let mut requests = reporter.requests();
        let observer = bob.syncher("observe").unwrap().subscribe(OBJECT).unwrap();
        let first = requests.next().await.unwrap();
        first.hold(Duration::from_millis(1));
        // It is told that nobody has decided, and asks again.
        let second = requests.next().await.unwrap();
        first.reject("too late to say");
        second.accept();
        until(&observer, |state| *state == State::Live).await;
    })
    .await;
}

#[tokio::test]
async fn requests_end_with_their_reporter() {
    bounded(async {
        let node = node();
        let ann = runtime(&node);
        let reporter: Reporter = ann.syncher("report").unwrap().create(asks()).unwrap();
        let mut requests = reporter.requests();
        let ended = tokio::spawn(async move { requests.next().await.is_none() });
        tokio::task::yield_now().await;
        ann.close().await;
        assert!(ended.await.unwrap());
    })
    .await;
}
