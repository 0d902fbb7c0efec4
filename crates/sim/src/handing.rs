//! Objects that are handed over (protocol.md §8): somebody is asked to have one, and takes it, refuses, or says nothing.

use byline_core::error::Refusal;
use byline_core::runtime::Invitation;

use crate::totals::Count;
use crate::world::World;

impl World {
    /// A Reporter hands its object over to the identity of `heir`, if that is another than its own.
    pub(crate) fn hands_over(&mut self, object: usize, heir: usize, keep: bool) {
        let mut reporters = self.reporters_of(object);
        reporters.retain(|who| self.places[*who].number != self.places[heir].number);
        if reporters.is_empty() {
            return;
        }
        let who = reporters[self.random.index(reporters.len())];
        let time = self.place_time(who);
        let heir = self.places[heir].identity.clone();
        let place = &mut self.places[who];
        if let (Some(reporter), Ok(to)) = (place.reporters.get(&object), heir.as_str().parse())
            && let seat = reporter.author.seat.clone()
            && let Ok(call) = (place.runtime).delegate(&seat, &to, keep, time)
        {
            self.totals.one(Count::HandOversAsked);
            place.asks_for_command(call);
            place.handing.insert(call, (seat.object, heir));
            // That it takes it back when the other says no, it says by itself.
            place.repeated += 1;
        }
        self.place_puts_out(who);
    }

    /// Somebody is asked to have an object.
    pub(crate) fn is_invited(&mut self, who: usize, invitation: &Invitation) {
        let url = Some(&invitation.object);
        let Some(object) = self.urls.iter().position(|one| one.as_ref() == url) else {
            return;
        };
        let answer = match self.random.between(0, 9) {
            0..7 => {
                self.reports(who, object, false, false, None);
                let heir = &self.places[who].identity;
                self.oracle.accepts(&invitation.object, heir);
                Ok(())
            }
            7..9 => Err(Refusal::forbidden("not mine to keep")),
            _ => return,
        };
        let runtime = &mut self.places[who].runtime;
        runtime.answer_invitation(invitation.number, answer);
        self.place_puts_out(who);
    }

    /// A place whose identity owns an object, or would have it first.
    pub(crate) fn owner_of(&self, object: usize) -> usize {
        let devices = &self.plan.objects[object].devices;
        let url = self.url_of(object);
        let owns = |who: &&usize| {
            let identity = &self.places[**who].identity;
            url.as_ref()
                .is_some_and(|url| self.oracle.owns(url, identity))
        };
        *devices.iter().find(owns).unwrap_or(&devices[0])
    }
}
