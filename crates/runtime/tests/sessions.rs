//! How a runtime begins and ends.

use byline::{Create, KeyFileError, MemoryNode, ReadError, Runtime, StartError, State, WriteError};
use serde_json::json;

use crate::common::{
    Folder, Mirror, OBJECT, bounded, node, observe, public, report, runtime, until,
};

#[test]
fn outside_of_a_tokio_runtime_nothing_starts() {
    assert!(matches!(
        Runtime::builder().start(),
        Err(StartError::NoTokio)
    ));
    assert!(matches!(
        MemoryNode::start("localhost"),
        Err(StartError::NoTokio)
    ));
}

#[tokio::test]
async fn a_node_address_that_is_none_is_an_error_at_the_start() {
    let bad = [
        "",
        "garbage",
        "http://localhost/ws",
        "wss://",
        "ws://",
        "ws:///ws",
        "ws://a b/ws",
        "ws://:80/ws",
        "ws://localhost:/ws",
        "ws://localhost:99999/ws",
        "ws://localhost:port/ws",
        "ws://[::1/ws",
    ];
    for node in bad {
        let started = Runtime::builder().node(node).start();
        assert!(
            matches!(started, Err(StartError::NodeUrl(url)) if url == node),
            "{node}"
        );
    }
    for node in [
        "ws://localhost/ws",
        "ws://127.0.0.1:1/ws",
        "ws://[::1]:4680/ws",
        "ws://[::1]/ws",
        "wss://localhost/ws",
    ] {
        assert!(Runtime::builder().node(node).start().is_ok(), "{node}");
    }
}

#[tokio::test]
async fn that_a_node_cannot_be_reached_is_told_to_who_asks() {
    bounded(async {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let alone = Runtime::builder()
            .node(format!("ws://{free}/ws"))
            .start()
            .unwrap();
        let error = alone.connected().await.unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
        let _reporter = alone
            .syncher("report")
            .unwrap()
            .create(public(json!({})))
            .unwrap();
        alone.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_key_file_keeps_the_identity_and_each_runtime_is_another() {
    let (node, folder) = (node(), Folder::new("identity"));
    let start = || {
        Runtime::builder()
            .memory(&node)
            .key_file(folder.key())
            .start()
    };
    let (one, other) = (start().unwrap(), start().unwrap());
    assert_eq!(one.identity(), other.identity());
    assert_ne!(one.url(), other.url());
    assert_ne!(
        runtime(&node).identity(),
        runtime(&node).identity(),
        "without a file"
    );
    std::fs::write(folder.key(), "no key").unwrap();
    assert!(matches!(
        start(),
        Err(StartError::Key(KeyFileError::Content(_)))
    ));
}

#[tokio::test]
async fn minted_addresses_are_new_and_have_the_scheme_of_their_schema() {
    bounded(async {
        let node = node();
        let ann = runtime(&node);
        let syncher = ann.syncher("report").unwrap();
        let create = |schema| syncher.create(Create::new(schema, json!({}))).unwrap();
        let (one, other, chat) = (
            create("Context"),
            create("Context"),
            create("Communication"),
        );
        assert_ne!(one.url(), other.url());
        assert_eq!((one.url().scheme(), chat.url().scheme()), ("ctxt", "comm"));
        for reporter in [one, other, chat] {
            reporter.claimed().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn to_close_a_runtime_frees_its_objects_at_once() {
    bounded(async {
        let (node, folder) = (node(), Folder::new("close"));
        let start = || {
            Runtime::builder()
                .memory(&node)
                .key_file(folder.key())
                .start()
                .unwrap()
        };
        let (first, bob) = (start(), runtime(&node));
        let reporter = report(&first, json!({"run": 1})).await;
        let observer = observe(&bob).await;
        let mut mirror = Mirror::of(&observer);
        mirror.step().await;
        first.close().await;
        assert!(matches!(&*reporter.state().borrow(), State::Closed(_)));
        until(&observer, |state| matches!(state, State::Stale(_))).await;
        assert_eq!(
            *observer.data().unwrap(),
            json!({"run": 1}),
            "the copy stays"
        );
        // Without `take`: nobody holds it any more.
        let again = public(json!({"run": 2})).discard();
        let again = start().syncher("report").unwrap().create(again).unwrap();
        again.claimed().await.unwrap();
        mirror.step().await;
        assert_eq!(mirror.data, json!({"run": 2}));
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_with_the_last_handle_of_its_runtime() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&bob).await;
        drop(ann);
        let mut mirror = Mirror::of(&observer);
        reporter.update(|data| data["n"] = json!(1)).unwrap();
        mirror.reach(1).await;
        drop(reporter);
        until(&observer, |state| matches!(state, State::Stale(_))).await;
    })
    .await;
}

#[tokio::test]
async fn who_asks_a_runtime_that_is_closed_is_told() {
    bounded(async {
        let node = node();
        let ann = runtime(&node);
        let syncher = ann.syncher("report").unwrap();
        let reporter = report(&ann, json!({"n": 0})).await;
        let observer = observe(&ann).await;
        let mut mirror = Mirror::of(&observer);
        mirror.step().await;
        let mut changes = observer.changes();
        ann.close().await;
        ann.close().await;

        assert!(changes.next().await.is_some(), "what was there before");
        assert_eq!(changes.next().await, None);
        assert!(matches!(&*observer.state().borrow(), State::Closed(_)));
        assert!(reporter.ready().await.is_err());
        let write = reporter.update(|data| data["n"] = json!(1));
        assert!(matches!(write, Err(WriteError::Closed(_))), "{write:?}");
        assert!(ann.delivered().await.is_err());
        assert!(matches!(
            syncher.read(OBJECT).await,
            Err(ReadError::Refused(_))
        ));
        let late = syncher.create(Create::new("Context", json!({}))).unwrap();
        assert!(late.claimed().await.is_err());
        assert!(matches!(
            late.update(|data| data["n"] = json!(1)),
            Err(WriteError::Closed(_))
        ));
        let late = ann.syncher("late").unwrap().subscribe(OBJECT).unwrap();
        assert!(matches!(&*late.state().borrow(), State::Closed(_)));
        assert_eq!(late.changes().next().await, None);
    })
    .await;
}

#[tokio::test]
async fn who_waits_when_a_runtime_is_closed_is_told() {
    bounded(async {
        // Nobody is there: the claim, the read and the delivery wait.
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let alone = Runtime::builder()
            .node(format!("ws://{free}/ws"))
            .start()
            .unwrap();
        let syncher = alone.syncher("report").unwrap();
        let reporter = syncher.create(public(json!({}))).unwrap();
        let observer = alone.syncher("observe").unwrap().subscribe(OBJECT).unwrap();
        let mut changes = observer.changes();
        let (claimed, read, delivered, change, ()) = tokio::join!(
            reporter.claimed(),
            syncher.read(OBJECT),
            alone.delivered(),
            changes.next(),
            alone.close(),
        );
        assert!(claimed.is_err() && read.is_err() && delivered.is_err() && change.is_none());
    })
    .await;
}

#[test]
fn who_waits_when_the_tokio_runtime_ends_is_told() {
    let tokio = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let inside = tokio();
    let (node, ann, reporter) = inside.block_on(async {
        let node = node();
        let ann = runtime(&node);
        let reporter = ann
            .syncher("report")
            .unwrap()
            .create(public(json!({})))
            .unwrap();
        (node, ann, reporter)
    });
    drop(inside);
    tokio().block_on(bounded(async {
        assert!(reporter.claimed().await.is_err());
        assert!(ann.delivered().await.is_err());
        ann.close().await;
    }));
    drop(node);
}

#[tokio::test]
async fn what_is_delivered_does_not_wait_for_a_claim_that_was_refused() {
    bounded(async {
        let node = node();
        let (ann, eve) = (runtime(&node), runtime(&node));
        let _mine = report(&ann, json!({})).await;
        let theirs = eve
            .syncher("report")
            .unwrap()
            .create(public(json!({})))
            .unwrap();
        eve.delivered().await.unwrap();
        assert!(theirs.claimed().await.is_err());
    })
    .await;
}
