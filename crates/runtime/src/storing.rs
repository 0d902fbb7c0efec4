//! The store of a runtime: what rests comes from there when it starts, and goes there while it runs.

use std::path::Path;
use std::sync::{Arc, Weak};

use byline_core::identity::Key;
use byline_core::runtime::{Input, Runtime};
use byline_core::time::Time;
use byline_store::{Folder, Store as _, StoreError, Whose, Writer};

use crate::builder::StartError;
use crate::shared::Shared;

/// The runtime that rests in the folder at `path`, or a new one that does from now on. `key` is for a folder
/// that has none.
pub(crate) fn open(
    path: &Path,
    domain: String,
    key: Key,
    seed: [u8; 32],
    now: Time,
) -> Result<(Runtime, Folder), StartError> {
    let mut folder = Folder::open(path, &Whose::Runtime, None)?;
    let rows = folder.rows()?.collect::<Result<Vec<_>, _>>()?;
    let mut machine = Runtime::restored(domain, key, seed, rows)?;
    // Its key is stored before anybody hears of it.
    if let Some(batch) = machine.poll_batch(now) {
        folder.commit(&batch)?;
        machine.handle(Input::Stored, now);
    }
    Ok((machine, folder))
}

/// Starts the thread that stores what the machine of `shared` puts out, and tells it how that went.
pub(crate) fn start(folder: Folder, shared: &Arc<Shared>) -> std::io::Result<Writer> {
    let shared = Arc::downgrade(shared);
    Writer::start(folder, move |outcome| done(&shared, outcome))
}

fn done(shared: &Weak<Shared>, outcome: Result<(), StoreError>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let mut inner = shared.lock();
    let now = shared.clock.now();
    match outcome {
        Ok(()) => {
            if inner.machine.not_stored().is_some() {
                tracing::warn!("what waited is stored");
            }
            inner.machine.handle(Input::Stored, now);
        }
        Err(error) => {
            let why = error.to_string();
            // Each try fails with the same words: they are said once, until it is over.
            if inner.machine.not_stored() != Some(&*why) {
                tracing::warn!(%error, "not stored; it is tried again");
            }
            inner.machine.handle(Input::NotStored(&why), now);
        }
    }
    drop(inner);
    shared.wake.notify_one();
}
