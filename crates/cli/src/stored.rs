//! What of a report is stored, told as it becomes so.

use std::io;
use std::time::Duration;

use byline::{FlushError, Refusal, Reporter};
use futures_util::future::{BoxFuture, FutureExt as _};

use crate::output::{Event, Printer, note};

/// While the store takes nothing, it is asked again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// The versions that were written, until the newest of them is told to be stored.
pub(crate) struct Stored<'a> {
    reporter: &'a Reporter,
    printer: Printer,
    /// The newest that nobody has asked for yet.
    written: Option<u64>,
    asked: Option<BoxFuture<'a, Result<u64, Refusal>>>,
}

impl<'a> Stored<'a> {
    pub(crate) const fn new(reporter: &'a Reporter, printer: Printer) -> Self {
        Self {
            reporter,
            printer,
            written: None,
            asked: None,
        }
    }

    pub(crate) const fn wrote(&mut self, version: u64) {
        self.written = Some(version);
    }

    /// Resolves when another version has been told, and never while there is none to be told. It may be dropped
    /// and called again.
    ///
    /// # Errors
    /// When the object is no longer this Reporter's, or nobody reads what is printed.
    pub(crate) async fn next(&mut self) -> anyhow::Result<()> {
        if self.asked.is_none()
            && let Some(version) = self.written.take()
        {
            let reporter = self.reporter;
            let stored = async move { stored(reporter).await.map(|()| version) };
            self.asked = Some(stored.boxed());
        }
        let Some(asked) = &mut self.asked else {
            return std::future::pending().await;
        };
        let version = asked.await;
        self.asked = None;
        let version = version.map_err(|refusal| anyhow::anyhow!(refusal))?;
        Ok(self.printer.print(&Event::Stored { version })?)
    }

    /// Resolves when all that was written is told.
    pub(crate) async fn all(&mut self) -> anyhow::Result<()> {
        while self.asked.is_some() || self.written.is_some() {
            self.next().await?;
        }
        Ok(())
    }
}

/// Waits until everything written is stored, however long the store takes nothing.
async fn stored(reporter: &Reporter) -> Result<(), Refusal> {
    let mut told = false;
    loop {
        match reporter.flushed().await {
            Ok(()) => return Ok(()),
            Err(FlushError::Closed(refusal)) => return Err(refusal),
            Err(error) => {
                if !told {
                    // Where nobody reads it, the missing event says it still.
                    let _: io::Result<()> = note(&format!("byline: {error}"));
                }
                told = true;
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
