//! Files in the collections of an object: sent by one, fetched by the others.

use std::sync::Arc;

use byline_core::children::ChildId;
use byline_core::runtime::ChildError;
use tokio::sync::{oneshot, watch};

use crate::child_reporter::ChildReporter;
use crate::children::{Children, Place};
use crate::{Refusal, shared};

/// Who waits for a file.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) received: watch::Sender<u64>,
    pub(crate) end: oneshot::Sender<Result<Arc<[u8]>, Refusal>>,
}

impl<T> Children<T> {
    /// Makes a child that describes `content` as a file, and serves the content to everybody here for as
    /// long as the runtime lives and the child is there: a node keeps none of it. `name` is no path, and
    /// the content has at most 5 MiB. Costs a pass over it.
    ///
    /// ```
    /// # use byline::{Create, FileDescription, MemoryNode, Runtime, State};
    /// # use serde_json::{Value, json};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = MemoryNode::start("localhost")?;
    /// # let (ann, bob) = (Runtime::builder().memory(&node).start()?, Runtime::builder().memory(&node).start()?);
    /// let create = Create::new("Communication", json!({"topic": "tea"})).public().files("files");
    /// let room = ann.syncher("chat")?.create(create)?;
    /// let joined = bob.syncher("chat")?.subscribe(room.url().as_str())?;
    /// # joined.state().wait_for(|state| *state == State::Live).await?;
    ///
    /// let mut sent = joined.children::<Value>("files").send_file("tea.txt", "text/plain", *b"green")?;
    /// sent.safe().await?;
    /// let files = room.children::<Value>("files");
    /// let described = FileDescription::read(&files.child(sent.id()).unwrap().value)?;
    /// assert_eq!((&*described.name, described.size), ("tea.txt", 5));
    /// assert_eq!(files.fetch(sent.id())?.content().await?[..], *b"green");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ChildError`]; nothing was sent then. The files sent by one runtime have 64 MiB together.
    pub fn send_file(
        &self,
        name: &str,
        mimetype: &str,
        content: impl Into<Arc<[u8]>>,
    ) -> Result<ChildReporter<T>, ChildError> {
        let content = content.into();
        let place = self.place();
        let (id, answered) = place.write(|machine, place, now| {
            machine.send_file(&place.seat, &place.name, name, mimetype, content, now)
        })?;
        Ok(ChildReporter::new(place.clone(), id, answered))
    }

    /// Fetches the file that a child describes, from its author, or from the object's Reporter where that
    /// keeps [files](crate::Create::files) and the author is gone. It goes on through cuts, and waits while
    /// none of them is there, until it is dropped.
    ///
    /// # Errors
    /// [`ChildError`]: there is no such child, or it describes no file; nothing was asked then.
    pub fn fetch(&self, id: &ChildId) -> Result<Fetch, ChildError> {
        let place = self.place();
        let shared = &place.alive.0;
        let mut inner = shared.lock();
        if let Some(over) = &inner.over {
            return Err(ChildError::Closed(over.clone()));
        }
        let now = shared.clock.now();
        let call = inner.machine.fetch(&place.seat, &place.name, id, now)?;
        let (received, progress) = watch::channel(0);
        let (end, ended) = oneshot::channel();
        inner.fetches.insert(call, Waiting { received, end });
        drop(inner);
        shared.wake.notify_one();
        Ok(Fetch {
            place: place.clone(),
            call,
            progress,
            ended,
        })
    }
}

/// A file that is being fetched, made by [`Children::fetch`]. Dropped, it is fetched no longer.
#[derive(Debug)]
#[must_use = "dropped, it is fetched no longer"]
pub struct Fetch {
    place: Place,
    call: u64,
    progress: watch::Receiver<u64>,
    ended: oneshot::Receiver<Result<Arc<[u8]>, Refusal>>,
}

impl Fetch {
    /// How many bytes are here; can be waited on. How many there will be [`FileDescription`](crate::FileDescription) says.
    #[must_use]
    pub fn received(&self) -> watch::Receiver<u64> {
        self.progress.clone()
    }

    /// Waits for the content: whole, and of the length and the SHA-256 that its author has described.
    ///
    /// # Errors
    /// The [`Refusal`] says whose fault it is: 502 when what came is not what was described, 404 when who
    /// was asked has it no longer, 410 when the file was removed, 408 when nobody answers who could, 403
    /// for who does not observe the object any more.
    pub async fn content(mut self) -> Result<Arc<[u8]>, Refusal> {
        (&mut self.ended).await.map_err(|_| shared::ended())?
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let shared = &self.place.alive.0;
        let mut inner = shared.lock();
        if inner.fetches.remove(&self.call).is_some() {
            inner.machine.give_up_fetch(self.call);
            drop(inner);
            // Others may have waited for its place.
            shared.wake.notify_one();
        }
    }
}
