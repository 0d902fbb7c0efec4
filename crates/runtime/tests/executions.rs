//! What readers ask an object's application to do.

use std::time::Duration;

use byline::{CommandError, Observer, Refusal};
use serde_json::{Value, json};

use crate::common::{bounded, node, observe, report, runtime};

async fn refused(observer: &Observer, method: &str) -> Refusal {
    match observer.execute(method, Value::Null).await {
        Err(CommandError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reader_is_answered_with_a_value_or_told_why_not() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        let mut executions = reporter.executions();
        let serves = async {
            let execution = executions.next().await.unwrap();
            assert_eq!(execution.identity(), Some(&bob.identity()));
            assert_eq!(
                execution.hyperty(),
                bob.syncher("observe").unwrap().hyperty()
            );
            assert_eq!(
                (execution.method(), execution.params()),
                ("add", &json!([1, 2]))
            );
            execution.hold(Duration::from_secs(3_600));
            execution.answer(3).unwrap();
            let execution = executions.next().await.unwrap();
            execution.refuse(Refusal::unknown("nothing is called `sing` here"));
            drop(executions.next().await);
        };
        let asks = async {
            assert_eq!(observer.execute("add", json!([1, 2])).await, Ok(json!(3)));
            let refusal = refused(&observer, "sing").await;
            assert_eq!(
                (refusal.code, &*refusal.desc),
                (404, "nothing is called `sing` here")
            );
            assert_eq!(refused(&observer, "dropped").await.code, 501);
        };
        tokio::join!(serves, asks);
    })
    .await;
}

#[tokio::test]
async fn who_asks_an_application_that_takes_nothing_is_told_so() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        assert_eq!(refused(&observer, "add").await.code, 501);
        // What waits when the last taker goes is refused too; before that the others take it.
        let (first, mut second) = (reporter.executions(), reporter.executions());
        let asks = refused(&observer, "add");
        let goes = async {
            drop(first);
            let execution = second.next().await.unwrap();
            execution.refuse(Refusal::conflict("not now"));
        };
        assert_eq!(tokio::join!(asks, goes).0.code, 409);
        let waits = async {
            // When this is answered, what was asked before has come.
            bob.delivered().await.unwrap();
            ann.delivered().await.unwrap();
            drop(second);
        };
        assert_eq!(tokio::join!(refused(&observer, "add"), waits).0.code, 501);
    })
    .await;
}

#[tokio::test]
async fn executions_end_with_their_reporter_and_answers_with_their_runtime() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        let mut executions = reporter.executions();
        let asks = refused(&observer, "add");
        let ends = async {
            let execution = executions.next().await.unwrap();
            bob.close().await;
            drop(execution);
        };
        assert_eq!(tokio::join!(asks, ends).0.code, 503);
        let ended = tokio::spawn(async move { executions.next().await.is_none() });
        tokio::task::yield_now().await;
        ann.close().await;
        assert!(ended.await.unwrap());
    })
    .await;
}
