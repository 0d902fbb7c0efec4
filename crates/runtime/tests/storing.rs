//! Runtimes with a store: what rests goes on in another life.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use byline::{
    Children, Create, Criteria, FlushError, MemoryNode, Observer, Origin, Reporter, Runtime,
    StartError, State, StoreError, Subscribe,
};
use serde_json::json;

/// A folder that nobody else uses, and that is gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("byline-storing-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn store(&self) -> PathBuf {
        self.0.join("store")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it is in the way of nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(node: &MemoryNode, scratch: &Scratch) -> Runtime {
    let builder = Runtime::builder().memory(node).store(scratch.store());
    builder.start().unwrap()
}

fn kitchen() -> Create {
    let create = Create::new("Context", json!({"temperature": 21}));
    create.at("ctxt://localhost/kitchen").public().store()
}

async fn live(observer: &Observer) {
    let mut state = observer.state();
    let live = state.wait_for(|state| *state == State::Live).await;
    assert!(live.is_ok());
}

#[tokio::test]
async fn a_runtime_that_starts_again_is_the_same_and_goes_on_by_itself() {
    let (node, scratch) = (MemoryNode::start("localhost").unwrap(), Scratch::new());
    let runtime = start(&node, &scratch);
    let (identity, url) = (runtime.identity(), runtime.url());
    let sensor = runtime.syncher("sensor").unwrap();
    let hyperty = sensor.hyperty().clone();
    let reporter = sensor.create(kitchen()).unwrap();
    reporter.claimed().await.unwrap();
    reporter
        .update(|data| data["temperature"] = json!(22))
        .unwrap();
    reporter.flushed().await.unwrap();
    let head = reporter.head();
    runtime.close().await;

    let runtime = start(&node, &scratch);
    assert_eq!((runtime.identity(), runtime.url()), (identity, url));
    let sensor = runtime.syncher("sensor").unwrap();
    assert_eq!(*sensor.hyperty(), hyperty);
    let found = sensor.resume(Criteria::default());
    assert_eq!((found.reporters.len(), found.observers.len()), (1, 0));
    let resumed: &Reporter = &found.reporters[0];
    assert_eq!(resumed.data()["temperature"], 22);
    assert_eq!(resumed.head(), head);
    resumed.claimed().await.unwrap();
    let again = sensor.create(kitchen()).unwrap();
    assert_eq!(again.data()["temperature"], 22, "it is the one that rested");
    again
        .update(|data| data["temperature"] = json!(23))
        .unwrap();
    assert_eq!(resumed.data()["temperature"], 23);
    again.flushed().await.unwrap();
}

#[tokio::test]
async fn a_copy_is_read_before_there_is_a_connection_and_then_catches_up_in_one_step() {
    let (node, scratch) = (MemoryNode::start("localhost").unwrap(), Scratch::new());
    let owner = Runtime::builder().memory(&node).start().unwrap();
    let large = json!({"temperature": 21, "plan": "x".repeat(4_000)});
    let create = Create::new("Context", large).at("ctxt://localhost/kitchen");
    let reporter = owner
        .syncher("sensor")
        .unwrap()
        .create(create.public())
        .unwrap();
    reporter.claimed().await.unwrap();
    let wish = || Subscribe::to("ctxt://localhost/kitchen").store();

    let runtime = start(&node, &scratch);
    let observer = runtime
        .syncher("display")
        .unwrap()
        .subscribe(wish())
        .unwrap();
    live(&observer).await;
    drop(observer);
    runtime.close().await;
    for temperature in 22..=25 {
        reporter
            .update(|data| data["temperature"] = json!(temperature))
            .unwrap();
    }
    owner.delivered().await.unwrap();

    let runtime = start(&node, &scratch);
    let observer = runtime
        .syncher("display")
        .unwrap()
        .subscribe(wish())
        .unwrap();
    assert!(matches!(&*observer.state().borrow(), State::Stale(_)));
    assert_eq!(observer.data().unwrap()["temperature"], 21);
    let mut changes = observer.changes();
    assert_eq!(
        changes.next().await.unwrap().origin,
        Origin::Snapshot,
        "as it is"
    );
    let net = changes.next().await.unwrap();
    assert_eq!((net.origin, net.edits.len()), (Origin::CatchUp, 1));
    assert_eq!(observer.data().unwrap()["temperature"], 25);
    observer.unsubscribe();
    runtime.close().await;
    let runtime = start(&node, &scratch);
    let display = runtime.syncher("display").unwrap();
    assert!(display.resume(Criteria::default()).observers.is_empty());
}

#[tokio::test]
async fn what_has_no_store_says_so() {
    let (node, scratch) = (MemoryNode::start("localhost").unwrap(), Scratch::new());
    let runtime = Runtime::builder().memory(&node).start().unwrap();
    let sensor = runtime.syncher("sensor").unwrap();
    assert!(sensor.create(kitchen()).is_err());
    let wish = Subscribe::to("ctxt://localhost/kitchen").store();
    assert!(sensor.subscribe(wish).is_err());
    assert!(
        sensor.subscribe("ctxt://localhost/kitchen").is_ok(),
        "nothing was asked before"
    );
    let stored = start(&node, &scratch);
    let create = Create::new("Context", json!({}));
    let reporter = stored.syncher("sensor").unwrap().create(create).unwrap();
    reporter.claimed().await.unwrap();
    let error = reporter.flushed().await.unwrap_err();
    assert!(matches!(error, FlushError::NotKept(_)), "{error}");
}

#[tokio::test]
async fn a_folder_is_of_one_process_and_of_one_key() {
    let (node, scratch) = (MemoryNode::start("localhost").unwrap(), Scratch::new());
    let key = |name: &str| {
        let builder = Runtime::builder().memory(&node).store(scratch.store());
        builder.key_file(scratch.0.join(name))
    };
    let runtime = key("one").start().unwrap();
    let locked = key("one").start().unwrap_err();
    assert!(
        matches!(locked, StartError::Store(StoreError::Locked { .. })),
        "{locked}"
    );
    let identity = runtime.identity();
    runtime.close().await;
    let other = key("two").start().unwrap_err();
    assert!(matches!(other, StartError::OtherKey { .. }), "{other}");
    assert_eq!(
        start(&node, &scratch).identity(),
        identity,
        "the file's key rests"
    );
}

#[tokio::test]
async fn children_rest_with_the_object_and_with_a_copy_of_it() {
    let node = MemoryNode::start("localhost").unwrap();
    let scratch = [Scratch::new(), Scratch::new()];
    let room = || kitchen().children("notes");
    let texts = |notes: &Children| {
        let notes = notes.list().into_iter();
        notes
            .map(|(_, child)| child.value["text"].clone())
            .collect::<Vec<_>>()
    };
    for (life, text) in ["one", "two", "three"].into_iter().enumerate() {
        let [ann, bob] = scratch.each_ref().map(|scratch| start(&node, scratch));
        let reporter = ann.syncher("sensor").unwrap().create(room()).unwrap();
        reporter.claimed().await.unwrap();
        let subscribe = Subscribe::to("ctxt://localhost/kitchen").store();
        let observer = bob.syncher("hall").unwrap().subscribe(subscribe).unwrap();
        let (anns, bobs) = (reporter.children("notes"), observer.children("notes"));
        if life > 0 {
            assert_eq!(texts(&anns), texts(&bobs), "both are there at once");
        }
        live(&observer).await;
        let mut note = [&anns, &bobs][life % 2]
            .add(json!({ "text": text }))
            .unwrap();
        note.safe().await.unwrap();
        reporter.flushed().await.unwrap();
        assert_eq!(texts(&anns), ["one", "two", "three"][..=life]);
        bob.close().await;
        ann.close().await;
    }
}
