//! A JSON file as an object's state: read again whenever it changes.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use serde_json::Value;
use tokio::sync::Notify;

use crate::input::{TEXT_BYTES_MAX, object};
use crate::output::note;

/// How long what cannot be read is put down to somebody who is just writing it.
const WRITING: Duration = Duration::from_millis(500);

/// A file that is watched.
pub(crate) struct Watched {
    name: String,
    path: PathBuf,
    told: Arc<Told>,
    /// Watches as long as it is here.
    _watcher: RecommendedWatcher,
    /// What the file held when it was last looked at.
    text: Vec<u8>,
    /// That something is wrong with it was said.
    complained: bool,
}

/// What the watcher has told.
#[derive(Default)]
struct Told {
    changed: Notify,
    /// Why nothing can be watched any more.
    over: OnceLock<String>,
}

impl Watched {
    /// Watches `file`, which may come to be later; its folder must be there.
    pub(crate) fn open(file: &str) -> anyhow::Result<Self> {
        let cannot = || format!("cannot watch {file}");
        let path = fs::canonicalize(file).or_else(|_| std::path::absolute(file));
        let path = path.with_context(cannot)?;
        let (Some(folder), Some(_)) = (path.parent(), path.file_name()) else {
            bail!("{}: it is no file", cannot());
        };
        let told = Arc::new(Told::default());
        let teller = teller(&path, folder, Arc::clone(&told));
        let mut watcher = notify::recommended_watcher(teller).with_context(cannot)?;
        // The folder, not the file: whoever saves by putting another file in its place would take a
        // watch of the file away with the old one.
        watcher
            .watch(folder, RecursiveMode::NonRecursive)
            .with_context(cannot)?;
        Ok(Self {
            name: file.to_owned(),
            path,
            told,
            _watcher: watcher,
            text: Vec::new(),
            complained: false,
        })
    }

    /// The file, as the user calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The next state that the file holds. What is none is said once, and waited for.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            if let Some(why) = self.told.over.get() {
                bail!("{} cannot be watched any longer: {why}", self.name);
            }
            // What is told while nobody waits is told to the next who does.
            match self.look() {
                Ok(Some(state)) => {
                    self.complained = false;
                    return Ok(state);
                }
                Err(error) if !self.complained => {
                    let changed = self.told.changed.notified();
                    if tokio::time::timeout(WRITING, changed).await.is_err() {
                        self.complain(&format!("{error:#}"))?;
                    }
                }
                Ok(None) => {
                    self.complained = false;
                    self.told.changed.notified().await;
                }
                Err(_) => self.told.changed.notified().await,
            }
        }
    }

    /// Says what is wrong with the file, once until it is well again.
    pub(crate) fn complain(&mut self, what: &str) -> io::Result<()> {
        self.complained = true;
        note(&format!(
            "{}: {what}; waiting until it is mended",
            self.name
        ))
    }

    /// What the file holds, unless it is what it held before.
    fn look(&mut self) -> anyhow::Result<Option<Value>> {
        // To open what is no file, such as a pipe, might take for ever.
        if !fs::metadata(&self.path)?.is_file() {
            bail!("it is no file");
        }
        let mut text = Vec::new();
        let file = File::open(&self.path)?;
        file.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > TEXT_BYTES_MAX {
            bail!("it has more than {TEXT_BYTES_MAX} bytes");
        }
        if text == self.text {
            return Ok(None);
        }
        let state = object(&text, "it")?;
        self.text = text;
        Ok(Some(state))
    }
}

/// Tells of what happens to `path` in its `folder`.
fn teller(
    path: &Path,
    folder: &Path,
    told: Arc<Told>,
) -> impl Fn(notify::Result<Event>) + Send + 'static {
    let (path, folder) = (path.to_owned(), folder.to_owned());
    move |event| {
        let over = match &event {
            Ok(event) if !is_change(event.kind) => return,
            Ok(event) if leaves(event.kind) && event.paths.first() == Some(&folder) => {
                Some(anyhow!("its folder is gone or elsewhere"))
            }
            Ok(event) if event.need_rescan() || event.paths.contains(&path) => None,
            Ok(_) => return,
            Err(error) => Some(anyhow!("{error}")),
        };
        if let Some(why) = over {
            // The first reason is the one that counts.
            let _ = told.over.set(why.to_string());
        }
        told.changed.notify_one();
    }
}

/// Whether it is more than somebody, such as this program, who has a look.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn leaves(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::CreateKind;

    #[test]
    fn to_look_at_a_file_is_no_change_of_it() {
        let reads = [
            AccessKind::Open(AccessMode::Any),
            AccessKind::Read,
            AccessKind::Close(AccessMode::Read),
        ];
        for read in reads {
            assert!(!is_change(EventKind::Access(read)), "{read:?}");
        }
        let write = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert!(is_change(write) && is_change(EventKind::Create(CreateKind::File)));
    }
}
