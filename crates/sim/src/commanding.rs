//! What owners command about their objects: who is put out, who may read, and that it is over.

use byline_core::message::body::Access;

use crate::plan::{Command, Openness};
use crate::totals::Count;
use crate::world::World;

impl World {
    pub(crate) fn commands(&mut self, object: usize, command: &Command) {
        let reporters = self.reporters_of(object);
        if reporters.is_empty() {
            return;
        }
        let who = reporters[self.random.index(reporters.len())];
        let time = self.place_time(who);
        let named = |reader: usize, by_hyperty: bool| {
            let reader = &self.places[reader];
            let hyperty = reader.readers.keys().next().filter(|_| by_hyperty);
            hyperty.map_or_else(
                || reader.identity.as_str().to_owned(),
                |seat| seat.hyperty.as_str().to_owned(),
            )
        };
        let said = match command {
            Command::Kick { reader, by_hyperty } | Command::Allow { reader, by_hyperty } => {
                named(*reader, *by_hyperty)
            }
            Command::Access(_) | Command::Delete => String::new(),
        };
        let access = match command {
            Command::Access(openness) => self.access(openness, &[]),
            _ => Access::default(),
        };
        if let Command::Kick { reader, .. } = command {
            let authors = self.places[*reader].readers.values();
            if authors
                .filter(|one| one.object == object)
                .any(|one| one.writes)
            {
                self.totals.one(Count::AuthorKicked);
            }
        }
        let place = &mut self.places[who];
        let Some(reporter) = place.reporters.get(&object) else {
            return;
        };
        let (seat, runtime) = (&reporter.author.seat, &mut place.runtime);
        let call = match command {
            Command::Kick { .. } => runtime.kick(seat, &said, "put out", time),
            Command::Allow { .. } => runtime.allow(seat, &said, time),
            Command::Access(_) => runtime.access(seat, access, time),
            Command::Delete => runtime.delete(seat, time),
        };
        // A Reporter that has lost the object while its application was not told yet refuses.
        if let Ok(call) = call {
            place.asks_for_command(call);
        }
        self.place_puts_out(who);
    }

    /// What `openness` is on the wire, and who is denied besides.
    pub(crate) fn access(&self, openness: &Openness, denied: &[u8]) -> Access {
        let identities = |numbers: &[u8]| -> Vec<String> {
            let named = |place: &&crate::place::Place| numbers.contains(&place.number);
            let of = self.places.iter().filter(named);
            let mut names: Vec<String> =
                of.map(|place| place.identity.as_str().to_owned()).collect();
            names.dedup();
            names
        };
        let mut access = Access {
            public: true,
            deny: identities(denied),
            ..Access::default()
        };
        match openness {
            Openness::Public => {}
            Openness::Private(readers) => {
                access.public = false;
                access.authorise = identities(readers);
            }
            Openness::Without(denied) => access.deny.extend(identities(denied)),
        }
        access
    }
}
