//! Who is in a room, as its host knows it: the node says who comes and goes, they say what they are called.

use std::collections::BTreeMap;

use super::told::Person;

/// Most people that the host lists, and most names that it keeps for those who are yet to come.
const PEOPLE_MAX: usize = 1000;

/// The people in a room, by their hyperties.
#[derive(Debug, Default)]
pub(super) struct Guests {
    here: BTreeMap<String, Person>,
    /// The names of those of whom the node has not said yet that they are here.
    names: BTreeMap<String, String>,
}

impl Guests {
    pub(super) const fn here(&self) -> &BTreeMap<String, Person> {
        &self.here
    }

    /// The node says that somebody is here.
    pub(super) fn came(&mut self, hyperty: &str, since: String) {
        let name = self.names.remove(hyperty);
        if self.here.len() < PEOPLE_MAX {
            let person = Person { name, since };
            self.here.entry(hyperty.to_owned()).or_insert(person);
        }
    }

    /// Somebody says what they are called. That alone puts nobody on the list: they may be gone by now.
    pub(super) fn named(&mut self, hyperty: &str, name: String) {
        if let Some(person) = self.here.get_mut(hyperty) {
            person.name = Some(name);
            return;
        }
        if self.names.len() == PEOPLE_MAX {
            self.names.clear();
        }
        self.names.insert(hyperty.to_owned(), name);
    }

    /// The node says that somebody has left.
    pub(super) fn went(&mut self, hyperty: &str) {
        self.here.remove(hyperty);
        self.names.remove(hyperty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_says_who_is_here_and_they_what_they_are_called() {
        let mut guests = Guests::default();
        let name = |guests: &Guests, who: &str| Some(guests.here().get(who)?.name.clone());
        guests.named("early", "ann".to_owned());
        assert_eq!(name(&guests, "early"), None, "a name is nobody");
        guests.came("early", String::new());
        guests.came("late", String::new());
        assert_eq!(name(&guests, "early"), Some(Some("ann".to_owned())));
        assert_eq!(name(&guests, "late"), Some(None));
        guests.named("late", "bob".to_owned());
        guests.came("late", String::new());
        assert_eq!(name(&guests, "late"), Some(Some("bob".to_owned())));
        guests.went("late");
        assert_eq!(name(&guests, "late"), None);
    }

    #[test]
    fn strangers_fill_no_memory() {
        let mut guests = Guests::default();
        for number in 0..3 * PEOPLE_MAX {
            guests.named(&number.to_string(), "eve".to_owned());
            guests.came(&format!("h{number}"), String::new());
        }
        assert!(guests.names.len() <= PEOPLE_MAX && guests.here.len() <= PEOPLE_MAX);
    }
}
