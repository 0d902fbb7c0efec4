//! Where what rests of Byline lies: [rows](byline_core::storage) of a runtime or a node, in one folder
//! or in memory.
//!
//! A machine of `byline-core` says what is to be stored, one [`Batch`] at a time; its driver hands that to a
//! [`Writer`], whose thread commits it to a [`Store`] and says when it is durable
//! (docs/decisions/0010-one-batch-at-a-time.md). Before the machine's first input the driver hands it the store's
//! [rows](Store::rows). This crate knows nothing of what a row says.
//!
//! # Example
//! ```
//! use byline_core::storage::{Batch, Table};
//! use byline_store::{Memory, Store};
//!
//! let mut store = Memory::default();
//! let mut batch = Batch::default();
//! batch.put(Table::Positions, "ctxt://localhost/kitchen", [7; 16]);
//! store.commit(&batch)?;
//!
//! let rows: Vec<_> = store.rows()?.collect::<Result<_, _>>()?;
//! assert_eq!(rows[0].value, [7; 16]);
//! # Ok::<(), byline_store::StoreError>(())
//! ```

mod database;
mod error;
mod folder;
mod format;
#[cfg(test)]
mod images;
mod lock;
mod memory;
mod place;
#[cfg(test)]
mod recorder;
mod whose;
mod writer;

use byline_core::storage::{Batch, Row};

pub use error::StoreError;
pub use folder::{Folder, backup, read};
pub use memory::Memory;
pub use whose::Whose;
pub use writer::Writer;

/// The rows of a store, in the order of their tables and then of their keys.
pub type Rows<'store> = Box<dyn Iterator<Item = Result<Row, StoreError>> + 'store>;

/// Keeps rows. It has one owner, who writes and reads it by turns.
pub trait Store: Send {
    /// Stores a batch, whole or not at all, in the order of its changes; it is durable when this returns. It blocks
    /// for as long as the disk takes.
    ///
    /// # Errors
    /// When it cannot be written. Whether the batch is stored is then not known: the same batch again is right in
    /// both cases, and any other is not.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// What is there: every row but those of [`Table::Meta`](byline_core::storage::Table::Meta), which are the
    /// store's own. They are read as they are asked for, so that no store has to fit into memory twice.
    ///
    /// # Errors
    /// When the store cannot be read, at the beginning or at any row.
    fn rows(&self) -> Result<Rows<'_>, StoreError>;

    /// How many bytes it takes: of a folder what its file has on the disk, in memory those of keys and values.
    ///
    /// # Errors
    /// When the operating system does not say.
    fn bytes(&self) -> Result<u64, StoreError>;
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        (**self).commit(batch)
    }

    fn rows(&self) -> Result<Rows<'_>, StoreError> {
        (**self).rows()
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        (**self).bytes()
    }
}
