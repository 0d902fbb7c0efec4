//! A passphrase: from a file, or from who types it, which nobody sees.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use zeroize::Zeroizing;

pub(crate) type Passphrase = Zeroizing<String>;

/// Room for what is typed, so that no half of it is left where it grew out of.
const ROOM: usize = 1024;

/// What the file at `path` holds, without the end of its line.
pub(crate) fn read(path: &Path) -> anyhow::Result<Passphrase> {
    let file = || format!("passphrase file {}", path.display());
    let text = Zeroizing::new(fs::read_to_string(path).with_context(file)?);
    let passphrase = text.trim_end_matches(['\r', '\n']);
    ensure!(!passphrase.is_empty(), "{} is empty", file());
    Ok(Zeroizing::new(passphrase.to_owned()))
}

/// Asks for a new one, and again, since nobody sees what they type.
pub(crate) fn ask_twice() -> anyhow::Result<Passphrase> {
    let passphrase = ask("new passphrase")?;
    if ask("the same again")? != passphrase {
        bail!("the two are not the same: nothing is exported");
    }
    Ok(passphrase)
}

/// Asks on the terminal.
pub(crate) fn ask(what: &str) -> anyhow::Result<Passphrase> {
    ensure!(
        io::stdin().is_terminal(),
        "there is no terminal to ask for the passphrase on: name a file with --passphrase-file FILE"
    );
    let quiet = Quiet::start()?;
    write!(io::stderr(), "{what}: ")?;
    let typed = typed();
    drop(quiet);
    let passphrase = typed?;
    ensure!(!passphrase.is_empty(), "no passphrase: nothing is done");
    Ok(passphrase)
}

fn typed() -> anyhow::Result<Passphrase> {
    let mut typed = Zeroizing::new(String::with_capacity(ROOM));
    loop {
        let Event::Key(key) = event::read()? else {
            continue;
        };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
            (KeyCode::Enter, _) => return Ok(typed),
            (KeyCode::Char('c' | 'd'), true) => bail!("stopped: nothing is done"),
            (KeyCode::Char('u'), true) => typed.clear(),
            (KeyCode::Char(letter), false) => typed.push(letter),
            (KeyCode::Backspace, _) => drop(typed.pop()),
            _ => {}
        }
    }
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Quiet;

impl Quiet {
    fn start() -> io::Result<Self> {
        enable_raw_mode()?;
        Ok(Self)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // There is nothing left to be done where it fails.
        let _ = disable_raw_mode();
        let _ = writeln!(io::stderr());
    }
}
