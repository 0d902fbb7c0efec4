//! Opening an object that several devices of one identity may write (protocol.md §8): one of them does, the others
//! follow.

use byline_core::error::Reason;
use byline_core::runtime::CallError;
use serde_json::Value;

use crate::Refusal;
use crate::observer::Observer;
use crate::reporter::Reporter;
use crate::resuming::Subscribe;
use crate::syncher::{Create, Syncher};
use crate::typed::Data;

/// What an object opened as: see [`Syncher::open`].
#[derive(Debug)]
#[must_use = "dropped, it is let go"]
pub enum Opened<T = Value> {
    /// This device writes it.
    Reporter(Reporter<T>),
    /// Another device of the same identity does, and this one follows.
    Observer {
        /// The copy.
        observer: Observer<T>,
        /// The Reporter that this device is not, or no longer: closed, it gives by [`Reporter::rejected`] what was
        /// written here and is no part of the object.
        reporter: Reporter<T>,
    },
}

/// Why an object could not be opened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The call cannot be.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The node said no: the address belongs to another identity, or was deleted.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Syncher {
    /// Creates an object, or goes on with one of this identity's: as its Reporter, or, where another device holds it,
    /// as an Observer. [`Create::take`] takes it from the other device. Waits until the node has said which.
    ///
    /// A Reporter that is closed with [`Reason::Superseded`] has lost its object to another device: opened once more,
    /// the object is followed. The data of `create` is for an object that is new; of one that is not, it is what the
    /// object is.
    ///
    /// ```
    /// # use byline::{Create, MemoryNode, Opened, Runtime};
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = MemoryNode::start("localhost")?;
    /// # let folder = std::env::temp_dir().join(format!("byline-open-{}", std::process::id()));
    /// # let start = || Runtime::builder().memory(&node).key_file(folder.join("key")).start();
    /// // Two devices with one key.
    /// let (desk, phone) = (start()?, start()?);
    /// # std::fs::remove_dir_all(&folder)?;
    /// let diary = || Create::new("Context", json!({"page": 1})).at("ctxt://localhost/diary");
    /// let Opened::Reporter(mine) = desk.syncher("diary")?.open(diary()).await? else {
    ///     panic!("nobody else has it")
    /// };
    /// let Opened::Observer { observer, .. } = phone.syncher("diary")?.open(diary()).await? else {
    ///     panic!("the desk has it")
    /// };
    /// mine.update(|data| data["page"] = json!(2))?;
    /// let mut copies = observer.copies();
    /// while copies.next().await.unwrap()?["page"] != 2 {}
    ///
    /// let taken = phone.syncher("diary")?.open(diary().take()).await?;
    /// assert!(matches!(taken, Opened::Reporter(_)));
    /// assert!(mine.rejected().await.is_none(), "closed, and nothing was written beside the object");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open<T: Data>(&self, create: Create<T>) -> Result<Opened<T>, OpenError> {
        let store = create.stores();
        let reporter = self.create(create)?;
        let url = reporter.url().as_str();
        match reporter.claimed().await {
            Ok(()) => {
                self.let_go_of_copy(&reporter);
                Ok(Opened::Reporter(reporter))
            }
            Err(refusal) if refusal.reason == Some(Reason::Held) => {
                let subscribe = Subscribe::to(url);
                let subscribe = if store { subscribe.store() } else { subscribe };
                let observer = self.subscribe(subscribe)?.typed();
                Ok(Opened::Observer { observer, reporter })
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// A copy that rested here, and that nobody has a handle of, is of no use to who writes the object.
    fn let_go_of_copy<T>(&self, reporter: &Reporter<T>) {
        let shared = &self.alive.0;
        let mut inner = shared.lock();
        if inner.machine.is_unasked(&reporter.seat) {
            inner
                .machine
                .unsubscribe(&reporter.seat, shared.clock.now());
            inner.observers.remove(&reporter.seat);
        }
        drop(inner);
        shared.wake.notify_one();
    }
}
