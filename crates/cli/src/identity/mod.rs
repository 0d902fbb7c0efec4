//! `byline identity`: who this user is, and the key that proves it on its way to another device.

mod passphrase;
mod sealed;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use byline::key::{self, Key};
use byline_core::storage::Table;
use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use crate::output::line;
use crate::session::key_file;
use sealed::Sealed;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Print it
    Show(Kept),
    /// Print the key that proves it, sealed with a passphrase: for another device, or to be put away
    Export(ExportArgs),
    /// Make a key file of what was exported. Nothing is written over
    Import(ImportArgs),
}

/// Where a key is kept.
#[derive(Debug, Args)]
pub(crate) struct Kept {
    /// The file that holds it [default: byline/key in the user's data folder]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The folder of the runtime that keeps it, which may run
    #[arg(long, value_name = "DIR", conflicts_with = "key")]
    store: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file with what was exported
    file: PathBuf,
    /// The key file to make [default: byline/key in the user's data folder]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Debug, Args)]
struct PassphraseArgs {
    /// The file that holds the passphrase [default: it is asked for, on a terminal]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(crate) fn run(action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Show(kept) => show(&find(kept)?),
        Action::Export(args) => {
            let key = find(&args.kept)?;
            let passphrase = match &args.passphrase.passphrase_file {
                Some(file) => passphrase::read(file)?,
                None => passphrase::ask_twice()?,
            };
            let sealed = Sealed::seal(&key, &passphrase)?;
            Ok(line(sealed.to_string().trim_end())?)
        }
        Action::Import(args) => {
            let key = import(args)?;
            key::save(&key_file(args.key.as_deref())?, &key)?;
            show(&key)
        }
    }
}

fn show(key: &Key) -> anyhow::Result<()> {
    Ok(line(key.public().identity().as_str())?)
}

fn import(args: &ImportArgs) -> anyhow::Result<Key> {
    let file = args.file.display();
    let exported = fs::read_to_string(&args.file).with_context(|| file.to_string())?;
    let sealed = Sealed::parse(&exported).with_context(|| file.to_string())?;
    let passphrase = match &args.passphrase.passphrase_file {
        Some(file) => passphrase::read(file)?,
        None => passphrase::ask("passphrase")?,
    };
    sealed.unseal(&passphrase).with_context(|| file.to_string())
}

fn find(kept: &Kept) -> anyhow::Result<Key> {
    match &kept.store {
        Some(folder) => in_store(folder),
        None => Ok(key::load(&key_file(kept.key.as_deref())?)?),
    }
}

fn in_store(folder: &Path) -> anyhow::Result<Key> {
    let (whose, secret) = byline_store::read(folder, |whose, rows| {
        for row in rows {
            let row = row?;
            if (row.table, row.key.as_slice()) == (Table::Keys, b"identity") {
                return Ok((whose.clone(), Some(Zeroizing::new(row.value))));
            }
        }
        Ok((whose.clone(), None))
    })?;
    let secret = secret.and_then(|secret| secret.as_slice().try_into().map(Zeroizing::new).ok());
    let secret: Zeroizing<[u8; 32]> = secret.ok_or_else(|| {
        anyhow!(
            "{} belongs to {whose} and holds no key: name a runtime's folder, or a key file with --key FILE",
            folder.display()
        )
    })?;
    Ok(Key::from_bytes(&secret))
}
