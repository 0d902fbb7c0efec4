//! A store in one folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::iter;
use std::path::{Path, PathBuf};

use byline_core::storage::Batch;
use redb::StorageBackend as _;
use redb::backends::FileBackend;

use crate::database::{Check, Database};
use crate::lock::Lock;
use crate::place::Place;
use crate::{Rows, Store, StoreError, Whose};

/// The file with the rows.
const FILE: &str = "store.redb";
/// It, while it is made: it gets its name when it is whole.
const NEW_FILE: &str = "store.redb.new";

/// A store in one folder of a disk, which one process has at a time.
///
/// In the folder are `store.redb`, the rows, and `lock`, with the id of the process that has it. After a commit that
/// failed the file is opened anew, so that the next one may succeed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    quota: Option<u64>,
    /// The reason, while it cannot be opened.
    database: Result<Database, StoreError>,
    /// Let go of after the database is closed.
    _lock: Lock,
}

impl Folder {
    /// Opens the store in the folder at `path`, made for its owner's eyes only when there is none, and reads all of it
    /// once: what the disk has lost or altered is told now. With a `quota`, keys and values take no more bytes than
    /// that; the file takes more.
    ///
    /// # Errors
    /// When another process has it, it is damaged, of a newer format, or not `whose`; or when the folder cannot be made
    /// or written.
    pub fn open(path: &Path, whose: &Whose, quota: Option<u64>) -> Result<Self, StoreError> {
        make_folder(path).map_err(|error| StoreError::from_io(path, error))?;
        let lock = Lock::take(path)?;
        if !has_file(path)? {
            make_file(path, whose.clone(), Box::new(iter::empty()))?;
        }
        let database = open_file(path, Check::Everything)?;
        if database.whose() != whose {
            return Err(StoreError::Whose {
                path: path.to_owned(),
                whose: database.whose().to_string(),
                wanted: whose.to_string(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            quota,
            database: Ok(held_to(quota, database)?),
            _lock: lock,
        })
    }

    fn reopen(&mut self) {
        let database = open_file(&self.path, Check::Nothing);
        self.database = database.and_then(|database| held_to(self.quota, database));
    }
}

impl Store for Folder {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if self.database.is_err() {
            self.reopen();
        }
        let database = self.database.as_mut().map_err(|error| error.clone())?;
        database.commit(batch).inspect_err(|error| {
            // Closed first: its file is locked.
            self.database = Err(error.clone());
            self.reopen();
        })
    }

    fn rows(&self) -> Result<Rows<'_>, StoreError> {
        self.database.as_ref().map_err(Clone::clone)?.rows()
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        let metadata = fs::metadata(self.path.join(FILE));
        let metadata = metadata.map_err(|error| StoreError::from_io(&self.path, error))?;
        // The file has holes where nothing was written yet.
        #[cfg(unix)]
        let bytes = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
        #[cfg(not(unix))]
        let bytes = metadata.len();
        Ok(bytes)
    }
}

/// Reads the store in the folder at `path` as it is now, whether another process has it or not; who writes it goes on
/// meanwhile. `work` is told whose it is and gets its rows. What nobody has is read whole first, and its checksums are
/// compared.
///
/// # Errors
/// When there is no store or it cannot be read, and those of `work`.
pub fn read<T>(
    path: &Path,
    work: impl FnOnce(&Whose, Rows<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if !has_file(path)? {
        let source = io::Error::new(io::ErrorKind::NotFound, format!("there is no {FILE}"));
        return Err(StoreError::from_io(path, source));
    }
    match Lock::take(path) {
        Ok(_lock) => {
            let database = open_file(path, Check::Everything)?;
            work(database.whose(), database.rows()?)
        }
        Err(StoreError::Locked { .. }) => {
            let place = Place(path.to_owned());
            let file = file_in(&place, FILE, OpenOptions::new().read(true))?;
            let database = Database::open_beside(file, place)?;
            work(database.whose(), database.rows()?)
        }
        Err(error) => Err(error),
    }
}

/// Copies the store in the folder at `from`, as it is now (see [`read`]), to the folder at `to`, which is made or is
/// empty, and says whose it is. The copy is a store like any other and as small as it can be; what was written is read
/// once before it counts. To restore a backup, copy it back.
///
/// # Errors
/// When there is something at `to`, when the copy cannot be written there, or when the store cannot be read.
pub fn backup(from: &Path, to: &Path) -> Result<Whose, StoreError> {
    let failed = |error| StoreError::from_io(to, error);
    let is_made = to.symlink_metadata().is_ok();
    if is_made && !is_empty_folder(to).map_err(failed)? {
        return Err(StoreError::Exists(to.to_owned()));
    }
    read(from, |whose, rows| {
        let fill = |folder: &Path| {
            make_file(folder, whose.clone(), rows)?;
            open_file(folder, Check::Everything).map(drop)
        };
        if is_made {
            // A disk may be mounted there: no other folder can take its place.
            let _lock = Lock::take(to)?;
            fill(to)?;
        } else {
            // A folder gets its name when what is in it is whole.
            let mut part = to.as_os_str().to_owned();
            part.push(".part");
            let part = PathBuf::from(part);
            make_folder(&part).map_err(failed)?;
            fill(&part)?;
            fs::rename(&part, to).map_err(failed)?;
            sync_parent(to).map_err(failed)?;
        }
        Ok(whose.clone())
    })
}

fn is_empty_folder(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(error),
    }
}

fn has_file(folder: &Path) -> Result<bool, StoreError> {
    let there = folder.join(FILE).try_exists();
    there.map_err(|error| StoreError::from_io(folder, error))
}

fn held_to(quota: Option<u64>, database: Database) -> Result<Database, StoreError> {
    match quota {
        Some(quota) => database.within(quota),
        None => Ok(database),
    }
}

fn open_file(folder: &Path, check: Check) -> Result<Database, StoreError> {
    let place = Place(folder.to_owned());
    let file = file_in(&place, FILE, OpenOptions::new().read(true).write(true))?;
    // The database would begin anew in it.
    if place.guard(|| Ok(file.len()?))? == 0 {
        return Err(place.damaged("the file is empty"));
    }
    Database::open(file, place, check)
}

/// Makes the file beside its place and renames it: nobody ever finds half of it.
fn make_file(folder: &Path, whose: Whose, rows: Rows<'_>) -> Result<(), StoreError> {
    let place = Place(folder.to_owned());
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = file_in(&place, NEW_FILE, &options)?;
    drop(Database::make(file, place, whose, rows)?);
    fs::rename(folder.join(NEW_FILE), folder.join(FILE))
        .and_then(|()| sync_folder(folder))
        .map_err(|error| StoreError::from_io(folder, error))
}

fn file_in(place: &Place, name: &str, options: &OpenOptions) -> Result<FileBackend, StoreError> {
    place.guard(|| Ok(FileBackend::new(options.open(place.0.join(name))?)?))
}

fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

/// A name is on the disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened, and names are the system's business.
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}
