//! What authors wrote to children and outlives their runtime: it rests with its disk, and is sent in another life
//! (protocol.md §9).

use byline_core::children::ChildId;
use byline_core::message::Type;
use byline_core::runtime::{Role, Seat};
use byline_core::storage::{Table, below, key};
use serde_json::Value;

use crate::oracle::number_in;
use crate::totals::Count;
use crate::world::World;

impl World {
    /// A seat of a place is there again: what it wrote to children and is not safe goes on, and its children are its own.
    pub(crate) fn writes_return(&mut self, who: usize, seat: &Seat, role: Role) {
        let place = &mut self.places[who];
        let Some(disk) = &place.disk else { return };
        let role = match role {
            Role::Reporter => "reporter",
            Role::Observer => "observer",
        };
        let (object, hyperty) = (seat.object.as_str(), seat.hyperty.as_str());
        let rows = below(&key(&[
            object.as_bytes(),
            hyperty.as_bytes(),
            role.as_bytes(),
        ]));
        for (_, row) in disk
            .table(Table::ChildWrites)
            .filter(|(key, _)| rows.contains(&key.to_vec()))
        {
            let row: Value = serde_json::from_slice(row).unwrap_or_default();
            let kind = if row["type"] == "create" {
                Type::Create
            } else {
                Type::Update
            };
            if let Some(n) = number_in(kind, hyperty, &row["body"].to_string()) {
                self.totals.one(Count::ChildrenAtRest);
                self.oracle.outlives(n, seat);
            }
        }
        let names = self
            .urls
            .iter()
            .position(|url| url.as_ref() == Some(&seat.object));
        let names = names.map(|object| &self.plan.objects[object].children);
        for (name, _) in names.into_iter().flatten() {
            let there = place.runtime.children(seat, name).into_iter();
            let there = there.flat_map(|there| there.iter().map(|(id, _)| id.clone()));
            let own: Vec<ChildId> = there.filter(|id| *id.author() == seat.hyperty).collect();
            let of = (seat.clone(), (*name).to_owned());
            place.own_children.entry(of).or_default().extend(own);
        }
    }
}
