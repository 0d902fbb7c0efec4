//! Things as a person reads them on a terminal: of a change what is different, not the whole object again.

use byline::{Access, Change, Edit};
use serde_json::Value;

/// Longest value shown, in characters; `--json` shows all of it.
const VALUE_CHARS: usize = 60;

/// One line for each edit, with the version before the first.
pub(crate) fn edits(version: u64, edits: &[Edit]) -> String {
    let mut lines = String::new();
    for (index, edit) in edits.iter().enumerate() {
        let start = if index == 0 {
            format!("{version:>6}")
        } else {
            " ".repeat(6)
        };
        let end = if index + 1 == edits.len() { "" } else { "\n" };
        lines.push_str(&format!("{start}  {}{end}", one(&edit.change)));
    }
    lines
}

/// One line for each of those who may read, and of those who may not.
pub(crate) fn access(access: &Access) -> Vec<String> {
    let open = match (access.anonymous, access.public) {
        (true, _) => "open to everybody",
        (false, true) => "open to everybody whom the node knows",
        (false, false) => "open to its owners, and to those who are authorised",
    };
    let authorised = access
        .authorise
        .iter()
        .map(|who| format!("authorised: {who}"));
    let denied = access.deny.iter().map(|who| format!("put out: {who}"));
    let lines = std::iter::once(open.to_owned());
    lines.chain(authorised).chain(denied).collect()
}

fn one(change: &Change) -> String {
    let path = change.path();
    match change {
        Change::Set { value, .. } => format!("{path}: {}", short(value)),
        Change::Remove { .. } => format!("{path} is gone"),
        Change::Insert { values, .. } => {
            let values: Vec<String> = values.iter().map(short).collect();
            format!("{path} + {}", cut(&values.join(", ")))
        }
        Change::RemoveElements { count: 1, .. } => format!("{path} is gone"),
        Change::RemoveElements { count, .. } => format!("{path} and after: {count} are gone"),
        Change::Append { text, .. } => format!("{path} + {}", short(&Value::from(text.as_str()))),
        Change::Replace { data } => cut(&Value::Object(data.clone()).to_string()),
    }
}

fn short(value: &Value) -> String {
    cut(&value.to_string())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_is_told_edit_by_edit() {
        let path = |text: &str| text.parse().unwrap();
        let told = |changes: Vec<Change>| {
            let with = |change| Edit {
                change,
                before: None,
            };
            edits(12, &changes.into_iter().map(with).collect::<Vec<_>>())
        };
        assert_eq!(
            told(vec![
                Change::Set {
                    path: path("cpu.percent"),
                    value: json!(3.5)
                },
                Change::Remove { path: path("note") },
                Change::Insert {
                    path: path("log.0"),
                    values: vec![json!("on"), json!(1)]
                },
            ]),
            "    12  cpu.percent: 3.5\n        note is gone\n        log.0 + \"on\", 1"
        );
        let long = Change::Set {
            path: path("t"),
            value: json!("é".repeat(100)),
        };
        assert_eq!(told(vec![long]).chars().count(), 8 + 3 + VALUE_CHARS + 1);
    }
}
