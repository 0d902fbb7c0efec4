//! A report whose object another device of the same user writes: it is followed.

use byline::{Observer, Reason, Reporter};

use crate::observe::{Copy, follow};
use crate::output::{Event, Printer};

/// Says that another device has the object, and prints what becomes of it. What was written here and is no part of it
/// is told beside.
pub(crate) async fn follows(
    observer: &Observer,
    reporter: &Reporter,
    reason: Reason,
    printer: Printer,
) -> anyhow::Result<()> {
    let url = observer.url();
    printer.print(&Event::Elsewhere {
        url: url.as_str(),
        reason,
    })?;
    let mut copy = Copy::of(url);
    tokio::select! {
        done = follow(None, observer, &mut copy, printer) => done,
        told = tell_rejected(reporter, printer) => told,
    }
}

/// Tells what was written and is no part of the object, whenever it turns out so.
pub(crate) async fn tell_rejected(reporter: &Reporter, printer: Printer) -> anyhow::Result<()> {
    while let Some(rejected) = reporter.rejected().await {
        for written in rejected {
            printer.print(&Event::Rejected {
                changes: &written.changes,
                metadata: &written.metadata,
            })?;
        }
    }
    std::future::pending().await
}
