//! What the tests of the library have in common.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use byline::{
    Changed, Changes, Create, MemoryNode, Observer, Position, Refusal, Reporter, Runtime, State,
};
use serde_json::{Value, json};

pub(crate) const OBJECT: &str = "ctxt://localhost/kitchen";
/// A test that takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A test, which fails when it hangs.
pub(crate) async fn bounded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, test)
        .await
        .expect("the test hangs")
}

pub(crate) fn node() -> MemoryNode {
    MemoryNode::start("localhost").unwrap()
}

/// A runtime with a key of its own.
pub(crate) fn runtime(node: &MemoryNode) -> Runtime {
    Runtime::builder().memory(node).start().unwrap()
}

pub(crate) fn public(data: Value) -> Create {
    Create::new("Context", data).at(OBJECT).public()
}

/// Creates the object, public, and waits until it is claimed.
pub(crate) async fn report(runtime: &Runtime, data: Value) -> Reporter {
    let reporter = runtime
        .syncher("report")
        .unwrap()
        .create(public(data))
        .unwrap();
    reporter.claimed().await.unwrap();
    reporter
}

/// Observes the object and waits for the copy.
pub(crate) async fn observe(runtime: &Runtime) -> Observer {
    let observer = runtime
        .syncher("observe")
        .unwrap()
        .subscribe(OBJECT)
        .unwrap();
    until(&observer, |state| *state == State::Live).await;
    observer
}

/// Waits for a state of the Observer.
pub(crate) async fn until(observer: &Observer, wanted: impl Fn(&State) -> bool) {
    observer.state().wait_for(wanted).await.unwrap();
}

/// Waits until the Observer is closed, and gives the reason.
pub(crate) async fn closed(observer: &Observer) -> Refusal {
    let mut state = observer.state();
    let over = state
        .wait_for(|state| matches!(state, State::Closed(_)))
        .await;
    match over.as_deref() {
        Ok(State::Closed(refusal)) => refusal.clone(),
        other => panic!("{other:?}"),
    }
}

/// A document that is built from nothing but steps.
pub(crate) struct Mirror {
    changes: Changes,
    pub(crate) data: Value,
    pub(crate) position: Position,
}

impl Mirror {
    pub(crate) fn of(observer: &Observer) -> Self {
        Self {
            changes: observer.changes(),
            data: json!({}),
            position: Position::default(),
        }
    }

    /// Makes the next step, which must fit.
    pub(crate) async fn step(&mut self) -> Changed {
        let changed = self.changes.next().await.expect("the object is open");
        changed.apply_to(&mut self.data).unwrap();
        assert!(
            changed.position >= self.position,
            "{} {}",
            self.position,
            changed.position
        );
        self.position = changed.position;
        changed
    }

    /// Makes steps until the copy is at `version`.
    pub(crate) async fn reach(&mut self, version: u64) {
        while self.position.version < version {
            self.step().await;
        }
    }
}

/// A path that no test has used before; its folder goes with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("byline-{test}-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.0.join("key")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is made by whoever writes into it first.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
