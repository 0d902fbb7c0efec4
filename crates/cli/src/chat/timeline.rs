//! What was said in a room, in the order of time, as rows of a screen.

use std::collections::{BTreeMap, VecDeque};

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::told::{Message, short_id};

/// Notes that are kept; messages all are.
const NOTES: usize = 200;
/// Columns of the time, with the space after it.
const TIME_COLUMNS: usize = 6;
/// What names are painted in.
const COLOURS: [Color; 6] = [
    Color::Cyan,
    Color::Green,
    Color::Yellow,
    Color::Magenta,
    Color::Blue,
    Color::LightRed,
];

/// Messages, and what this program has noted between them.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// By when they were made, and by their ids.
    entries: BTreeMap<(String, String), Entry>,
    /// When each message was made, by its id.
    made: BTreeMap<String, String>,
    notes: VecDeque<(String, String)>,
    /// One's own messages that are not safe yet, by their ids.
    sending: Vec<(String, String)>,
    /// Whose name each is: of whoever had it first.
    names: BTreeMap<String, String>,
    noted: u64,
}

#[derive(Debug)]
enum Entry {
    Message {
        who: String,
        colour: Color,
        text: String,
    },
    Note(String),
}

impl Timeline {
    pub(super) fn put(&mut self, message: &Message) {
        self.sending.retain(|(id, _)| *id != message.id);
        let identity = message.identity.as_deref().unwrap_or_default();
        let first = self.names.entry(message.name.clone());
        let first = first.or_insert_with(|| identity.to_owned());
        // Two of one name are told apart.
        let who = if first == identity {
            message.name.clone()
        } else {
            let end = identity.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
            format!("{}~{}", message.name, &identity[end..])
        };
        let sum = identity.bytes().map(usize::from).sum::<usize>();
        let entry = Entry::Message {
            who,
            colour: COLOURS[sum % COLOURS.len()],
            text: visible(&message.text),
        };
        let made = &message.created;
        self.made.insert(message.id.clone(), made.clone());
        self.entries
            .insert((made.clone(), message.id.clone()), entry);
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some(made) = self.made.remove(id) {
            self.entries.remove(&(made, id.to_owned()));
        }
    }

    /// Forgets the messages, not what is noted.
    pub(super) fn forget(&mut self) {
        self.made.clear();
        self.entries
            .retain(|_, entry| matches!(entry, Entry::Note(_)));
    }

    pub(super) fn sending(&mut self, id: &str, text: &str) {
        // It may have come back already.
        if !self.made.contains_key(id) {
            self.sending.push((id.to_owned(), visible(text)));
        }
    }

    pub(super) fn refused(&mut self, id: Option<&str>) {
        self.sending.retain(|(one, _)| Some(one.as_str()) != id);
    }

    /// Notes something at `now`, which people read once.
    pub(super) fn note(&mut self, now: String, text: &str) {
        self.noted += 1;
        // Numbers of one length stand in their order; `~` follows every address.
        let key = (now, format!("~{:020}", self.noted));
        self.notes.push_back(key.clone());
        self.entries.insert(key, Entry::Note(visible(text)));
        if self.notes.len() > NOTES
            && let Some(oldest) = self.notes.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    /// `height` rows of `width` columns, which end `scroll` rows before the last one, or fewer: as many as
    /// there are. Costs what is shown and what is after it, not what is before.
    pub(super) fn rows(&self, width: usize, height: usize, scroll: &mut usize) -> Vec<Line<'_>> {
        let mut rows = Vec::new();
        let waiting = self.sending.iter().rev().map(|(_, text)| {
            let dim = Style::new().fg(Color::DarkGray);
            folded(vec![Span::styled("  …   ", dim)], text, width, dim)
        });
        let entries = self.entries.iter().rev();
        let told = entries.map(|((made, id), entry)| entry.rows(made, id, width));
        for entry in waiting.chain(told) {
            if rows.len() >= height + *scroll {
                break;
            }
            rows.extend(entry.into_iter().rev());
        }
        *scroll = (*scroll).min(rows.len().saturating_sub(height));
        let mut shown: Vec<Line<'_>> = rows.into_iter().skip(*scroll).take(height).collect();
        shown.reverse();
        shown
    }
}

impl Entry {
    fn rows(&self, made: &str, id: &str, width: usize) -> Vec<Line<'_>> {
        let dim = Style::new().fg(Color::DarkGray);
        match self {
            Self::Note(text) => folded(vec![Span::raw("      ")], text, width, dim.italic()),
            Self::Message { who, colour, text } => {
                let time = made.get(11..16).unwrap_or("--:--");
                let number = short_id(id);
                let number = number.split_once('#').map_or("", |(_, number)| number);
                let who = Span::styled(who, Style::new().fg(*colour).add_modifier(Modifier::BOLD));
                let start = vec![
                    Span::styled(format!("{time} "), dim),
                    who,
                    Span::styled(format!("#{number} "), dim),
                ];
                folded(start, text, width, Style::new())
            }
        }
    }
}

/// `text` behind `start`, in rows of at most `width` columns; all but the first stand under the text.
fn folded<'a>(start: Vec<Span<'a>>, text: &str, width: usize, style: Style) -> Vec<Line<'a>> {
    let mut row: Vec<Span<'a>> = start;
    let mut used: usize = row.iter().map(Span::width).sum();
    let mut rows = Vec::new();
    let next = |row: &mut Vec<Span<'a>>, rows: &mut Vec<Line<'a>>| {
        let indent = vec![Span::raw(" ".repeat(TIME_COLUMNS))];
        rows.push(Line::from(std::mem::replace(row, indent)));
        TIME_COLUMNS
    };
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            used = next(&mut row, &mut rows);
        }
        for word in line.split_inclusive(' ') {
            let columns = Span::raw(word.trim_end()).width();
            if used + columns > width && used > TIME_COLUMNS {
                used = next(&mut row, &mut rows);
            }
            let mut piece = String::new();
            for c in word.chars() {
                let wide = Span::raw(c.to_string()).width();
                if used + wide > width && !c.is_whitespace() {
                    row.push(Span::styled(std::mem::take(&mut piece), style));
                    used = next(&mut row, &mut rows);
                }
                piece.push(c);
                used += wide;
            }
            row.push(Span::styled(piece, style));
        }
    }
    rows.push(Line::from(row));
    rows
}

/// What others wrote commands no terminal.
pub(super) fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        '\n' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u32, name: &str, identity: &str, text: &str) -> Message {
        Message {
            id: format!("hyperty://d/abcdef/chat#{number}"),
            name: name.to_owned(),
            text: text.to_owned(),
            created: format!("2026-11-21T10:{number:02}:00.000Z"),
            identity: Some(identity.to_owned()),
        }
    }

    fn shown(timeline: &Timeline, width: usize, height: usize, mut scroll: usize) -> Vec<String> {
        let rows = timeline.rows(width, height, &mut scroll);
        rows.iter().map(Line::to_string).collect()
    }

    #[test]
    fn messages_stand_in_the_order_of_time_and_are_scrolled() {
        let mut timeline = Timeline::default();
        for number in [2, 1, 3] {
            timeline.put(&message(number, "ann", "user-guid://a", "tea"));
        }
        timeline.note("2026-11-21T10:01:30.000Z".to_owned(), "bob asks to come in");
        let all = [
            "10:01 ann#1 tea",
            "      bob asks to come in",
            "10:02 ann#2 tea",
            "10:03 ann#3 tea",
        ];
        assert_eq!(shown(&timeline, 40, 9, 0), all);
        assert_eq!(shown(&timeline, 40, 2, 0), all[2..]);
        assert_eq!(shown(&timeline, 40, 2, 1), all[1..3]);
        assert_eq!(
            shown(&timeline, 40, 2, 99),
            all[..2],
            "no further than the first"
        );
        timeline.remove("hyperty://d/abcdef/chat#2");
        assert_eq!(shown(&timeline, 40, 9, 0).len(), 3);
        timeline.forget();
        assert_eq!(shown(&timeline, 40, 9, 0), all[1..2]);
    }

    #[test]
    fn a_message_on_its_way_is_below_until_it_is_safe_or_refused() {
        let mut timeline = Timeline::default();
        let safe = message(1, "ann", "user-guid://a", "one");
        timeline.sending(&safe.id, "one");
        timeline.sending("x#2", "two");
        assert_eq!(shown(&timeline, 40, 9, 0), ["  …   one", "  …   two"]);
        timeline.put(&safe);
        assert_eq!(shown(&timeline, 40, 9, 0), ["10:01 ann#1 one", "  …   two"]);
        timeline.refused(Some("x#2"));
        timeline.sending(&safe.id, "one");
        assert_eq!(shown(&timeline, 40, 9, 0), ["10:01 ann#1 one"]);
    }

    #[test]
    fn two_of_one_name_are_told_apart() {
        let mut timeline = Timeline::default();
        timeline.put(&message(1, "ann", "user-guid://first", "it is me"));
        timeline.put(&message(2, "ann", "user-guid://other", "no, me"));
        assert_eq!(
            shown(&timeline, 40, 9, 0),
            ["10:01 ann#1 it is me", "10:02 ann~ther#2 no, me"]
        );
    }

    #[test]
    fn long_messages_are_folded_between_words_and_long_words_anywhere() {
        let mut timeline = Timeline::default();
        timeline.put(&message(
            1,
            "ann",
            "user-guid://a",
            "a cup of tea, 茶茶茶茶茶茶茶茶\u{1b}[2J\nand milk",
        ));
        assert_eq!(
            shown(&timeline, 20, 9, 0),
            [
                "10:01 ann#1 a cup of ",
                "      tea, ",
                "      茶茶茶茶茶茶茶",
                "      茶\u{fffd}[2J",
                "      and milk",
            ]
        );
        // Nothing is too narrow to be told.
        assert!(!shown(&timeline, 1, 9, 0).is_empty());
    }
}
