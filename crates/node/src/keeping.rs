//! What the node promised, on its way to the store: the thread that writes, and what that says.

use std::io;

use byline_core::storage::{Batch, Write};
use byline_store::{Store, StoreError, Writer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What became of a batch, or of one try.
pub(crate) type Outcome = Result<(), StoreError>;

/// What was written since the node started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// Batches that are stored.
    pub(crate) batches: u64,
    /// Rows that were put in them or removed from there.
    pub(crate) rows: u64,
    /// Bytes of rows that were put.
    pub(crate) bytes: u64,
    /// Times that a batch could not be written.
    pub(crate) failures: u64,
}

/// A node's store.
#[derive(Debug)]
pub(crate) struct Keeping {
    writer: Writer,
    pub(crate) written: Written,
}

impl Keeping {
    /// Starts the thread that writes to `store`, and gives what it will say: at most one outcome waits there
    /// for each batch, and one for each time that a batch is tried again.
    pub(crate) fn start(
        store: impl Store + 'static,
    ) -> io::Result<(Self, UnboundedReceiver<Outcome>)> {
        let (sender, outcomes) = unbounded_channel();
        // Nobody listens any more when the node has stopped.
        let writer = Writer::start(store, move |outcome| drop(sender.send(outcome)))?;
        let written = Written::default();
        Ok((Self { writer, written }, outcomes))
    }

    /// Has `batch` written.
    pub(crate) fn write(&mut self, batch: Batch) {
        self.written.rows += batch.writes().len() as u64;
        for write in batch.writes() {
            if let Write::Put(row) = write {
                self.written.bytes += (row.key.len() + row.value.len()) as u64;
            }
        }
        self.writer.write(batch);
    }

    /// Waits for the batch under way and closes the store.
    pub(crate) fn stop(self) -> Outcome {
        self.writer.stop()
    }
}
