//! Applying changes to a document: all of them or none.

use serde_json::Value;

use super::change::Change;
use super::json::fits;
use super::path::{Path, index};
use crate::limits::DEPTH_MAX;

/// What a list of changes did: what each of them replaced, and whether anything is different now.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Applied {
    before: Vec<Option<Value>>,
    changed: bool,
}

/// Why a list of changes does not apply. In a commit of another author it is a divergence
/// (protocol.md §4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("change {change} does not apply at {:?}: {rule}", path.to_string())]
#[non_exhaustive]
pub struct ApplyError {
    /// Which change of the list, counted from 0.
    pub change: usize,
    /// Its path.
    pub path: Path,
    /// The rule it breaks.
    pub rule: ApplyRule,
}

/// The conditions of the table in protocol.md §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyRule {
    /// The root can only be replaced as a whole.
    #[error("the root can only be replaced, by an object")]
    Root,
    /// The path's parent is not there.
    #[error("its parent must exist")]
    NoParent,
    /// The parent is a scalar.
    #[error("its parent must be an object or an array")]
    ParentIsScalar,
    /// The parent of a key to remove is no object.
    #[error("its parent must be an object")]
    ParentIsNoObject,
    /// The parent of elements to insert or remove is no array.
    #[error("its parent must be an array")]
    ParentIsNoArray,
    /// The last key is no array index.
    #[error("its last key must be an array index: decimal, without leading zeros")]
    NoIndex,
    /// The elements meant are not within the array.
    #[error("{count} element(s) from {index} on must lie within an array of {length}")]
    OutOfRange {
        /// The first element meant.
        index: usize,
        /// How many are meant.
        count: usize,
        /// How many there are.
        length: usize,
    },
    /// The key to remove is not there.
    #[error("the key must exist")]
    NoKey,
    /// Text is appended to what is not there or no string.
    #[error("the target must be a string")]
    NoString,
    /// The document would nest deeper than [`DEPTH_MAX`].
    #[error("the document must not nest deeper than {} levels", DEPTH_MAX)]
    TooDeep,
}

/// Applies the changes in order, each to what the ones before it left. Whole or not at all: on an
/// error `data` is as it was, by undoing.
///
/// Costs a copy of every new value and a move of every old one; the document itself is not copied.
/// The values have to be I-JSON already, see [`Change::normalise`]. Sizes are not checked here.
///
/// # Errors
/// The first change that does not apply, with the condition of protocol.md §4 it breaks.
pub fn apply(data: &mut Value, changes: &[Change]) -> Result<Applied, ApplyError> {
    let mut applied = Applied {
        before: Vec::with_capacity(changes.len()),
        changed: false,
    };
    for (number, change) in changes.iter().enumerate() {
        match step(data, change) {
            Ok((before, changed)) => {
                applied.before.push(before);
                applied.changed |= changed;
            }
            Err(rule) => {
                applied.undo(data, changes);
                return Err(ApplyError {
                    change: number,
                    path: change.path().clone(),
                    rule,
                });
            }
        }
    }
    Ok(applied)
}

/// Whether the change applies and makes no difference: a set of the value already there, an insert,
/// removal or append of nothing, a replacement by an equal document. Changes nothing, copies nothing.
///
/// For a document that is shared and would have to be copied for [`apply`]; after an [`apply`] ask
/// [`Applied::changed`].
#[must_use]
pub fn is_noop(data: &Value, change: &Change) -> bool {
    let has_place = |path: &Path| {
        let Some((key, parent)) = path.split_last() else {
            return false;
        };
        let items = look(data, parent).and_then(Value::as_array);
        items
            .zip(index(key))
            .is_some_and(|(items, index)| index <= items.len())
    };
    match change {
        Change::Set { path, value } => !path.is_root() && look(data, path.keys()) == Some(value),
        Change::Remove { .. } => false,
        Change::Insert { path, values } => values.is_empty() && has_place(path),
        Change::RemoveElements { path, count } => *count == 0 && has_place(path),
        Change::Append { path, text } => {
            text.is_empty() && look(data, path.keys()).is_some_and(Value::is_string)
        }
        Change::Replace { data: new } => data.as_object() == Some(new),
    }
}

impl Applied {
    /// What change `number` replaced: the old value of a set (none if the key is new) or a removed
    /// key, the list of removed elements, the old document; none for an insert or an append.
    #[must_use]
    pub fn before(&self, number: usize) -> Option<&Value> {
        self.before.get(number)?.as_ref()
    }

    /// Everything [`before`](Self::before) knows, one entry per change.
    #[must_use]
    pub fn into_before(self) -> Vec<Option<Value>> {
        self.before
    }

    /// Whether any change made a difference. Where none did there is no commit (protocol.md §4).
    /// Not sets of the value already there, nor inserts, removals or appends of nothing; changes
    /// that cancel each other out do count.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Takes the changes back, the last first. `data` and `changes` have to be those of the
    /// [`apply`] that gave this, and `data` as it left it; a caller may want this when a later
    /// check fails, such as one of size.
    pub fn undo(self, data: &mut Value, changes: &[Change]) {
        for (change, before) in changes.iter().zip(self.before).rev() {
            revert(data, change, before);
        }
    }
}

type Step = Result<(Option<Value>, bool), ApplyRule>;

fn step(data: &mut Value, change: &Change) -> Step {
    if change.path().keys().len() > DEPTH_MAX {
        return Err(ApplyRule::TooDeep);
    }
    match change {
        Change::Set { path, value } => set(data, path, value),
        Change::Remove { path } => remove(data, path),
        Change::Insert { path, values } => insert(data, path, values),
        Change::RemoveElements { path, count } => remove_elements(data, path, *count),
        Change::Append { path, text } => {
            let target = find(data, path.keys());
            let Some(Value::String(target)) = target else {
                return Err(ApplyRule::NoString);
            };
            target.push_str(text);
            Ok((None, !text.is_empty()))
        }
        Change::Replace { data: new } => {
            if !new.values().all(|value| fits(value, DEPTH_MAX - 1)) {
                return Err(ApplyRule::TooDeep);
            }
            let changed = data.as_object() != Some(new);
            Ok((
                Some(std::mem::replace(data, Value::Object(new.clone()))),
                changed,
            ))
        }
    }
}

fn set(data: &mut Value, path: &Path, value: &Value) -> Step {
    let (key, parent) = path.split_last().ok_or(ApplyRule::Root)?;
    if !fits(value, DEPTH_MAX - path.keys().len()) {
        return Err(ApplyRule::TooDeep);
    }
    let slot = match find(data, parent).ok_or(ApplyRule::NoParent)? {
        Value::Object(map) => match map.get_mut(key) {
            Some(slot) => slot,
            None => {
                map.insert(key.to_owned(), value.clone());
                return Ok((None, true));
            }
        },
        Value::Array(items) => {
            let index = index(key).ok_or(ApplyRule::NoIndex)?;
            let length = items.len();
            items.get_mut(index).ok_or(ApplyRule::OutOfRange {
                index,
                count: 1,
                length,
            })?
        }
        _ => return Err(ApplyRule::ParentIsScalar),
    };
    let changed = slot != value;
    Ok((Some(std::mem::replace(slot, value.clone())), changed))
}

fn remove(data: &mut Value, path: &Path) -> Step {
    let (key, parent) = path.split_last().ok_or(ApplyRule::Root)?;
    match find(data, parent).ok_or(ApplyRule::NoParent)? {
        Value::Object(map) => Ok((Some(map.remove(key).ok_or(ApplyRule::NoKey)?), true)),
        _ => Err(ApplyRule::ParentIsNoObject),
    }
}

fn insert(data: &mut Value, path: &Path, values: &[Value]) -> Step {
    let (items, index) = elements(data, path)?;
    if !values
        .iter()
        .all(|value| fits(value, DEPTH_MAX - path.keys().len()))
    {
        return Err(ApplyRule::TooDeep);
    }
    if index > items.len() {
        return Err(ApplyRule::OutOfRange {
            index,
            count: 0,
            length: items.len(),
        });
    }
    items.splice(index..index, values.iter().cloned());
    Ok((None, !values.is_empty()))
}

fn remove_elements(data: &mut Value, path: &Path, count: usize) -> Step {
    let (items, index) = elements(data, path)?;
    let length = items.len();
    let end = index.checked_add(count).filter(|end| *end <= length);
    let end = end.ok_or(ApplyRule::OutOfRange {
        index,
        count,
        length,
    })?;
    let removed = items.drain(index..end).collect();
    Ok((Some(Value::Array(removed)), count > 0))
}

/// The array a path ends in, and the index its last key means.
fn elements<'d>(
    data: &'d mut Value,
    path: &Path,
) -> Result<(&'d mut Vec<Value>, usize), ApplyRule> {
    let (key, parent) = path.split_last().ok_or(ApplyRule::NoIndex)?;
    match find(data, parent).ok_or(ApplyRule::NoParent)? {
        Value::Array(items) => Ok((items, index(key).ok_or(ApplyRule::NoIndex)?)),
        _ => Err(ApplyRule::ParentIsNoArray),
    }
}

fn look<'d>(data: &'d Value, keys: &[String]) -> Option<&'d Value> {
    keys.iter().try_fold(data, |value, key| match value {
        Value::Object(map) => map.get(key),
        Value::Array(items) => items.get(index(key)?),
        _ => None,
    })
}

fn find<'d>(data: &'d mut Value, keys: &[String]) -> Option<&'d mut Value> {
    keys.iter().try_fold(data, |value, key| match value {
        Value::Object(map) => map.get_mut(key),
        Value::Array(items) => items.get_mut(index(key)?),
        _ => None,
    })
}

/// Takes one change back. It has been applied and later ones taken back already, so everything it
/// needs is there; a branch that does not match means a caller mixed up its arguments, and does
/// nothing.
fn revert(data: &mut Value, change: &Change, before: Option<Value>) {
    match (change, before) {
        (Change::Replace { .. }, Some(old)) => *data = old,
        (Change::Set { path, .. } | Change::Remove { path }, Some(old)) => {
            let Some((key, parent)) = path.split_last() else {
                return;
            };
            match find(data, parent) {
                Some(Value::Object(map)) => _ = map.insert(key.to_owned(), old),
                Some(Value::Array(items)) => {
                    if let Some(slot) = index(key).and_then(|index| items.get_mut(index)) {
                        *slot = old;
                    }
                }
                _ => {}
            }
        }
        (Change::Set { path, .. }, None) => {
            let Some((key, parent)) = path.split_last() else {
                return;
            };
            if let Some(Value::Object(map)) = find(data, parent) {
                map.remove(key);
            }
        }
        (Change::Insert { path, values }, _) => {
            let Ok((items, index)) = elements(data, path) else {
                return;
            };
            let end = index.saturating_add(values.len()).min(items.len());
            items.drain(index.min(end)..end);
        }
        (Change::RemoveElements { path, .. }, Some(Value::Array(removed))) => {
            let Ok((items, index)) = elements(data, path) else {
                return;
            };
            let index = index.min(items.len());
            items.splice(index..index, removed);
        }
        (Change::Append { path, text }, _) => {
            let Some(Value::String(target)) = find(data, path.keys()) else {
                return;
            };
            if target.ends_with(text) {
                target.truncate(target.len() - text.len());
            }
        }
        _ => {}
    }
}
