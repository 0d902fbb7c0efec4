//! `byline backup`, `byline restore`: a store as one folder that can be put away.
//!
//! No node is asked. A store may be read by others than the process that has it, each time as it is after some batch
//! (`byline_store::read`), so that a backup needs the right to read the folder and nothing else.

use std::path::PathBuf;

use clap::Args;

use crate::output::note;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The folder of a node (`byline node --data`) or of a runtime
    dir: PathBuf,
    /// Where the backup goes: a folder that is empty or not there. Nothing is written over
    to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The folder that `byline backup` has made
    from: PathBuf,
    /// Where the store goes: a folder that is empty or not there. Nothing is written over
    dir: PathBuf,
}

pub(crate) fn backup(args: &BackupArgs) -> anyhow::Result<()> {
    let whose = byline_store::backup(&args.dir, &args.to)?;
    let to = args.to.display();
    Ok(note(&format!("what {whose} keeps is copied to {to}"))?)
}

pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    // A backup is a store, and a store that is copied is read whole and opened: there is no more to it.
    let whose = byline_store::backup(&args.from, &args.dir)?;
    let dir = args.dir.display();
    Ok(note(&format!("{dir} is ready for {whose}"))?)
}
