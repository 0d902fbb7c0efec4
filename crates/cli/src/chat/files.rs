//! Files of a room, and those of the disk.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use byline::{ChildId, ChildReporter, Children, Fetch, FileDescription};

use crate::input::TEXT_BYTES_MAX;

/// Reads the file at `path` and sends it.
pub(super) fn send(files: &Children, path: &str) -> Result<ChildReporter, String> {
    let cannot = |error: std::io::Error| format!("cannot read {path}: {error}");
    // To open what is no file, such as a pipe, might take for ever.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(format!("{path} is no file"));
    }
    let name = Path::new(path).file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| format!("{path} is no name that others can read"))?;
    let mut content = Vec::new();
    // More than that is refused, however much it is.
    let mut file = File::open(path).map_err(cannot)?.take(TEXT_BYTES_MAX);
    file.read_to_end(&mut content).map_err(cannot)?;
    let sent = files.send_file(name, "application/octet-stream", content);
    sent.map_err(|error| format!("{path}: {error}"))
}

/// Where the content of a file goes: to `path`, or under its own name into this folder.
pub(super) fn place(files: &Children, id: &ChildId, path: &str) -> Result<PathBuf, String> {
    let child = files.child(id).ok_or("it is gone")?;
    let described = FileDescription::read(&child.value).map_err(|error| error.to_string())?;
    let place = match path {
        // Others name it: it hides nothing here.
        "" if described.name.starts_with('.') => {
            return Err(format!(
                "it calls itself `{}`: write /get ID PATH",
                described.name
            ));
        }
        "" => PathBuf::from(described.name),
        path => PathBuf::from(path),
    };
    if place.exists() {
        return Err(format!(
            "{} is there already: write /get ID PATH",
            place.display()
        ));
    }
    Ok(place)
}

/// Waits for the content of a file, and writes it to a new one at `place`.
pub(super) async fn get(fetch: Fetch, place: PathBuf) -> Result<(), String> {
    let content = fetch
        .content()
        .await
        .map_err(|refusal| refusal.to_string())?;
    let mut file = File::options();
    let written = file.write(true).create_new(true).open(&place);
    let written = written.and_then(|mut file| file.write_all(&content));
    written.map_err(|error| format!("cannot write {}: {error}", place.display()))
}
