//! Between documents and the application's own types, by serde.

use std::any::{Any, type_name};

use byline_core::object::{Misfit, Path};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Segment, Track};

/// Longest reason that is told, in characters: serde repeats what it has found there, whole.
const REASON_CHARS: usize = 200;

/// What can be the data of an object for an application: any type of its own that serde writes and
/// reads. Nothing needs to implement it by hand.
///
/// It must be written as a JSON object, and what is written must read as the type again: a `NaN`,
/// which JSON has not, is refused when it is written rather than met by an Observer.
pub trait Data: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> Data for T {}

/// Reads a document as the application's type. Costs a pass over it.
pub(crate) fn read<T: DeserializeOwned>(document: &Value) -> Result<T, Misfit> {
    // Again for the path: only what does not fit pays for it.
    T::deserialize(document).map_err(|first| {
        match serde_path_to_error::deserialize::<_, T>(document) {
            Err(error) => misfit::<T>(error.path(), error.inner()),
            Ok(_) => misfit::<T>(&Track::new().path(), &first),
        }
    })
}

/// The document that the application's value is. A document itself costs nothing.
pub(crate) fn write<T: Data>(mut data: T) -> Result<Value, Misfit> {
    if let Some(document) = (&mut data as &mut dyn Any).downcast_mut::<Value>() {
        return Ok(document.take());
    }
    let document = text(&data)?;
    read::<T>(&document)?;
    Ok(document)
}

/// The document after `edit`, which changes what it changes and nothing else: what `T` does not know
/// of stays.
pub(crate) fn edit<T: Data>(document: &Value, edit: impl FnOnce(&mut T)) -> Result<Value, Misfit> {
    let mut next = document.clone();
    if let Some(next) = (&mut next as &mut dyn Any).downcast_mut::<T>() {
        edit(next);
    } else {
        let mut data: T = read(document)?;
        let before = text(&data)?;
        edit(&mut data);
        carry(&mut next, &before, text(&data)?);
        read::<T>(&next)?;
    }
    Ok(next)
}

/// Makes `document` differ from what it was as `after` differs from `before`. Lists are taken whole:
/// where an element went is not known.
fn carry(document: &mut Value, before: &Value, after: Value) {
    match (document, before, after) {
        (Value::Object(document), Value::Object(before), Value::Object(after)) => {
            document.retain(|key, _| after.contains_key(key) || !before.contains_key(key));
            for (key, after) in after {
                match (document.get_mut(&key), before.get(&key)) {
                    (_, Some(before)) if *before == after => {}
                    (Some(document), Some(before)) => carry(document, before, after),
                    _ => drop(document.insert(key, after)),
                }
            }
        }
        (document, _, after) => *document = after,
    }
}

fn text<T: Serialize>(data: &T) -> Result<Value, Misfit> {
    serde_json::to_value(data).map_err(|first| {
        let mut track = Track::new();
        let to = serde_path_to_error::Serializer::new(serde_json::value::Serializer, &mut track);
        let reason = data.serialize(to).err().unwrap_or(first);
        misfit::<T>(&track.path(), &reason)
    })
}

fn misfit<T>(path: &serde_path_to_error::Path, reason: &serde_json::Error) -> Misfit {
    let keys = path.iter().map(|segment| match segment {
        Segment::Seq { index } => index.to_string(),
        Segment::Map { key } => key.clone(),
        Segment::Enum { variant } => variant.clone(),
        Segment::Unknown => "?".to_owned(),
    });
    let mut reason = reason.to_string();
    if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS) {
        reason.truncate(end);
        reason.push('…');
    }
    Misfit {
        path: keys.fold(Path::root(), |path, key| path.child(key)),
        type_name: type_name::<T>(),
        reason,
    }
}
