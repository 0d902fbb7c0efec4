//! What becomes of connections on a walk. One that is stalled is neither cut nor closed meanwhile.

use serde_json::json;

use super::model::{Which, Who};
use super::{PEOPLE, Stall, Walk};

/// A commit of which a few fill a queue.
const HEAVY_BYTES: usize = 1_000_000;
const HEAVY_COMMITS: usize = 18;
/// Steps from one slow reader to the next, and that one is slow for.
pub(super) const STALL_EVERY: usize = 600;
const STALL_STEPS: usize = 40;

impl Walk {
    pub(super) async fn cuts(&mut self) {
        let Some((who, at)) = self.somebody().filter(|(who, _)| !self.is_stalled(*who)) else {
            return;
        };
        self.notes(format!("{who} is cut"));
        self.compares_one(who, at).await;
        self.sockets.cuts(at);
        self.model.is_cut(who);
    }

    pub(super) async fn closes(&mut self) {
        let Some((who, at)) = self.somebody().filter(|(who, _)| !self.is_stalled(*who)) else {
            return;
        };
        self.notes(format!("{who} closes"));
        let runtime = self.model.people[who].runtime.clone();
        self.sockets
            .says(at, "close", &runtime, "mn:/session", &json!({}));
        self.model.closes(who);
        self.closed(at).await;
    }

    pub(super) async fn comes_back(&mut self) {
        let away = |who: &Who| self.model.connection(*who).is_none();
        let away: Vec<Who> = (0..PEOPLE.len()).filter(away).collect();
        let anybody = self.up_to(PEOPLE.len() - 1);
        let who = self.one_of(&away).unwrap_or(anybody);
        if !self.is_stalled(who) {
            self.notes(format!("{who} re-opens"));
            self.reopens(who).await;
        }
    }

    pub(super) async fn anew(&mut self) {
        let who = self.up_to(PEOPLE.len() - 1);
        if !self.is_stalled(who) {
            self.notes(format!("{who} opens"));
            self.opens(who).await;
        }
    }

    fn is_stalled(&self, who: Who) -> bool {
        self.stall.is_some_and(|stall| stall.who == who)
    }

    /// A reader's socket takes nothing while its object says more than a queue holds.
    pub(super) async fn stalls(&mut self) {
        let readers = |which: &Which| {
            let object = &self.model.objects[which];
            let holder = object
                .holder
                .and_then(|who| Some((who, self.model.connection(who)?)));
            let reading = object.routes.keys().copied();
            let reading = reading.filter_map(|who| Some((who, self.model.connection(who)?)));
            reading
                .filter_map(|reader| Some((*which, holder?, reader)))
                .collect::<Vec<_>>()
        };
        let found: Vec<_> = self.objects.iter().flat_map(readers).collect();
        let Some((which, (holder, by), (who, at))) = self.one_of(&found) else {
            return;
        };
        self.notes(format!(
            "{who} takes nothing while {holder} says much of {which}"
        ));
        self.looks_around().await;
        self.sockets.stalls(at);
        self.stall_at = self.step + STALL_EVERY;
        let until = self.step + STALL_STEPS;
        self.stall = Some(Stall {
            who,
            at,
            which,
            parked: false,
            until,
        });
        for _ in 0..HEAVY_COMMITS {
            let (next, base) = Self::next(&self.model.objects[&which]).unwrap();
            let value = json!("x".repeat(HEAVY_BYTES));
            self.commit(holder, by, which, next, base, value);
            self.compares().await;
        }
        assert!(
            self.stall.is_some_and(|stall| stall.parked),
            "it was over the limit"
        );
    }
}
