//! Indexes, keys, triggers and the rest of post-data: a table's own start when its rows are
//! complete, and what spans tables comes once its parts are there.

use std::collections::HashMap;

use crate::pg::{LockMode, QualifiedName};
use crate::toc::{Entry, EntryId, Kind, Token, tokens};

use super::build::{PlanInput, statement};
use super::data::Tables;
use super::kept_names::{KeptNames, before_shares};
use super::locks::Relations;
use super::step::{Action, Lock, Phase, Statement, StepId, WhenRefused};
use super::steps::Steps;

/// An index on a table of this size is a step of its own; smaller ones are gathered by table.
const BIG_TABLE: u64 = 8 << 20;
/// So many entries go into one transaction at most.
const BATCH_ENTRIES: usize = 100;

/// The part of planning that places post-data entries.
pub(super) struct PostData<'a, 'b> {
    input: &'a PlanInput<'b>,
    tables: &'a Tables,
    relations: &'a Relations,
    steps: &'a mut Steps,
    /// The open step that gathers small entries for tables completed by the same step.
    gathering: HashMap<StepId, StepId>,
    /// The last step of those that span tables: they run one after another.
    spanning: Option<StepId>,
}

impl<'a, 'b> PostData<'a, 'b> {
    pub(super) fn new(
        input: &'a PlanInput<'b>,
        tables: &'a Tables,
        relations: &'a Relations,
        steps: &'a mut Steps,
    ) -> Self {
        PostData { input, tables, relations, steps, gathering: HashMap::new(), spanning: None }
    }

    /// Places what starts when its table's rows are complete; what acts on rows as they come only
    /// when all tables' are, as a resume may copy a table anew.
    pub(super) fn indexes(&mut self, entries: Vec<(EntryId, &Entry)>, all_complete: StepId) {
        for (id, entry) in entries {
            let mut own = self.own_table(entry);
            let mut needs = self.placed_needs(entry);
            if judges_rows(entry.kind) {
                own = Some((all_complete, 0));
                needs.push(all_complete);
            }
            let step = match own {
                Some((complete, bytes)) if is_build(entry.kind) && bytes >= BIG_TABLE => {
                    self.alone(entry, Phase::Indexes, bytes, needs, complete)
                }
                Some((complete, _)) => match self.gathering_step(complete, &needs) {
                    Some(step) => self.gather(step, entry),
                    None => self.span(entry, needs),
                },
                None => self.span(entry, needs),
            };
            self.steps.placed.insert(id, step);
        }
    }

    /// Places foreign keys: small ones are added outright; a big table's are added unvalidated,
    /// which takes an instant, and validated under a weaker lock beside one another.
    pub(super) fn foreign_keys(&mut self, mut entries: Vec<(EntryId, &Entry)>, complete: StepId) {
        before_shares(&mut entries);
        let mut previous: Option<(StepId, usize)> = None;
        let kept = KeptNames::of(entries.iter().map(|(_, entry)| *entry));
        for (id, entry) in entries {
            let needs = self.placed_needs(entry);
            let bytes = self.biggest_table(entry);
            let later = (bytes >= BIG_TABLE).then(|| unvalidated(&entry.create)).flatten();
            let (step, count) = match previous {
                Some((step, count)) if count < BATCH_ENTRIES => (step, count),
                _ => {
                    let action = Action::Apply { statements: Vec::new() };
                    let step =
                        self.steps.push(Phase::ForeignKeys, "foreign keys".to_owned(), action);
                    let after = previous.map(|(step, _)| step);
                    self.steps.needs(step, after.into_iter().chain([complete]).collect());
                    (step, 0)
                }
            };
            previous = Some((step, count + 1));
            let mut added = statement(self.input, entry);
            if let Some((add, validate)) = later {
                added.sql = added.sql.replacen(&entry.create, &add, 1);
                self.validate(entry, validate, bytes, step);
            }
            if entry.depends_on.iter().any(|table| self.relations.has_partitions(*table)) {
                added.sql = kept.around(entry, added.sql);
            }
            self.append(step, added, self.relations.locks(entry), bytes / 4);
            self.steps.needs(step, needs);
            self.steps.placed.insert(id, step);
        }
    }

    fn validate(&mut self, entry: &Entry, sql: String, bytes: u64, added: StepId) {
        let title = format!("validate {}", entry.title());
        let statements =
            vec![Statement { title: title.clone(), sql, when_refused: WhenRefused::TryAgainLater }];
        let step = self.steps.push(Phase::ForeignKeys, title, Action::Apply { statements });
        self.steps.needs(step, vec![added]);
        let own = self.referencing_table(entry);
        let mut locks = self.relations.locks_in(entry, LockMode::RowShare);
        for lock in &mut locks {
            if Some(&lock.relation) == own.as_ref() {
                lock.mode = LockMode::ShareUpdateExclusive;
            }
        }
        let step = self.steps.step(step);
        step.cost = bytes / 2;
        step.locks = locks;
    }

    /// The table an entry belongs to alone: the step that completes its rows, and its size.
    fn own_table(&self, entry: &Entry) -> Option<(StepId, u64)> {
        let mut found = None;
        for table in entry.depends_on.iter().filter_map(|id| self.tables.by_entry.get(id)) {
            match found {
                Some(other) if other != table => return None,
                _ => found = Some(table),
            }
        }
        let table = *found?;
        let bytes = self.steps.plan.table(table).size.bytes;
        Some((self.tables.complete[table.0 as usize], bytes))
    }

    fn biggest_table(&self, entry: &Entry) -> u64 {
        let tables = entry.depends_on.iter().filter_map(|id| self.tables.by_entry.get(id));
        tables.map(|table| self.steps.plan.table(*table).size.bytes).max().unwrap_or(0)
    }

    /// The table a foreign key is on: the one that its statement alters.
    fn referencing_table(&self, entry: &Entry) -> Option<QualifiedName> {
        let altered = altered(&entry.create)?.table;
        let tables = entry.depends_on.iter().filter_map(|id| self.tables.by_entry.get(id));
        let mut names = tables.map(|table| &self.steps.plan.table(*table).relation);
        names.find(|name| name.sql() == altered).cloned()
    }

    /// The steps of what the entry depends on.
    fn placed_needs(&self, entry: &Entry) -> Vec<StepId> {
        entry.depends_on.iter().filter_map(|id| self.steps.placed.get(id)).copied().collect()
    }

    /// The step that gathers for this table, if the entry needs nothing that only other steps of
    /// post-data make: else two gathering steps could come to wait for each other.
    fn gathering_step(&mut self, complete: StepId, needs: &[StepId]) -> Option<StepId> {
        let open = self.gathering.get(&complete).copied();
        let defined = self.steps.defined;
        let fits =
            |need: &StepId| Some(*need) <= defined || Some(*need) == open || *need == complete;
        if !needs.iter().all(fits) {
            return None;
        }
        let full = |step: StepId| match &self.steps.plan.steps[step.0 as usize].action {
            Action::Apply { statements } => statements.len() >= BATCH_ENTRIES,
            _ => true,
        };
        match open {
            Some(step) if !full(step) || needs.contains(&step) => Some(step),
            _ => {
                let completing = &self.steps.plan.steps[complete.0 as usize];
                let title = match (&completing.action, completing.title.as_str()) {
                    (Action::DataComplete, _) => "triggers".to_owned(),
                    (_, title) => {
                        let tables = title.strip_prefix("all rows of ").unwrap_or(title);
                        format!("indexes of {tables}")
                    }
                };
                let action = Action::Apply { statements: Vec::new() };
                let step = self.steps.push(Phase::Indexes, title, action);
                self.steps.needs(step, vec![complete]);
                self.gathering.insert(complete, step);
                Some(step)
            }
        }
    }

    fn gather(&mut self, step: StepId, entry: &Entry) -> StepId {
        let created = statement(self.input, entry);
        let cost = self.biggest_table(entry);
        self.append(step, created, self.relations.locks(entry), cost);
        step
    }

    fn alone(
        &mut self,
        entry: &Entry,
        phase: Phase,
        cost: u64,
        needs: Vec<StepId>,
        complete: StepId,
    ) -> StepId {
        let action = Action::Apply { statements: Vec::new() };
        let step = self.steps.push(phase, entry.title(), action);
        self.steps.needs(step, needs.into_iter().chain([complete]).collect());
        let created = statement(self.input, entry);
        self.append(step, created, self.relations.locks(entry), cost);
        step
    }

    /// An entry that spans tables, or belongs to none: these run one after another.
    fn span(&mut self, entry: &Entry, needs: Vec<StepId>) -> StepId {
        let own = entry.depends_on.iter().filter_map(|id| self.tables.by_entry.get(id));
        let complete: Vec<StepId> =
            own.map(|table| self.tables.complete[table.0 as usize]).collect();
        let action = Action::Apply { statements: Vec::new() };
        let step = self.steps.push(Phase::Indexes, entry.title(), action);
        let before = self.spanning.or(self.steps.defined);
        self.steps.needs(step, needs.into_iter().chain(complete).chain(before).collect());
        let created = statement(self.input, entry);
        let cost = self.biggest_table(entry);
        self.append(step, created, self.relations.locks(entry), cost);
        self.spanning = Some(step);
        step
    }

    fn append(&mut self, step: StepId, statement: Statement, locks: Vec<Lock>, cost: u64) {
        let step = self.steps.step(step);
        if let Action::Apply { statements } = &mut step.action {
            statements.push(statement);
        }
        step.lock(locks);
        step.cost += cost;
    }
}

/// Whether an entry of this kind does something to rows that come after it: a trigger fires, a check
/// that isn't valid refuses what its table holds already, and so does plain storage what is too long.
fn judges_rows(kind: Kind) -> bool {
    matches!(kind, Kind::Trigger | Kind::CheckConstraint | Kind::ColumnStorage)
}

/// Whether creating an entry of this kind reads its whole table.
fn is_build(kind: Kind) -> bool {
    matches!(kind, Kind::Index | Kind::Constraint | Kind::CheckConstraint)
}

/// Splits `ALTER TABLE ONLY … ADD CONSTRAINT … FOREIGN KEY …;` into adding it unvalidated and
/// validating it. None for a partitioned table (no ONLY), which takes no NOT VALID key
/// (source: tablecmds.c, ATAddForeignKeyConstraint), and for a key that isn't to be validated.
fn unvalidated(create: &str) -> Option<(String, String)> {
    let Altered { table, constraint } = altered(create)?;
    let add = create.trim_end().strip_suffix(';')?;
    if add.ends_with(" NOT VALID") || add.ends_with(" NOT ENFORCED") {
        return None;
    }
    let validate = format!("ALTER TABLE ONLY {table} VALIDATE CONSTRAINT {constraint};\n");
    Some((format!("{add} NOT VALID;\n"), validate))
}

/// What an `ALTER TABLE ONLY … ADD CONSTRAINT` is about, as its text names it.
struct Altered<'a> {
    table: &'a str,
    constraint: &'a str,
}

/// Reads the statement by its tokens, as names may hold any words.
fn altered(create: &str) -> Option<Altered<'_>> {
    let mut rest = tokens(create).skip_while(|(_, token)| !token.is_word("ONLY")).skip(1);
    let (start, _) = rest.next()?;
    let (end, _) = rest.find(|(_, token)| token.is_word("ADD"))?;
    match (rest.next()?.1, rest.next()?.1) {
        (word, Token::Quoted(constraint) | Token::Word(constraint))
            if word.is_word("CONSTRAINT") =>
        {
            Some(Altered { table: create[start..end].trim_end(), constraint })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::unvalidated;

    #[test]
    fn a_foreign_key_is_added_unvalidated_and_validated_later() {
        let create = "ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"k\" FOREIGN KEY (a) REFERENCES \
                      s.u(b) ON DELETE CASCADE;\n";
        let (add, validate) = unvalidated(create).unwrap();
        assert!(add.ends_with("ON DELETE CASCADE NOT VALID;\n"), "{add}");
        assert_eq!(validate, "ALTER TABLE ONLY \"s\".\"t\" VALIDATE CONSTRAINT \"k\";\n");
    }

    #[test]
    fn names_that_read_like_the_statement_are_only_names() {
        let create = "ALTER TABLE ONLY \"a ADD CONSTRAINT b\".\"ONLY\"\n    \
                      ADD CONSTRAINT \"k FOREIGN KEY \"\" x\" FOREIGN KEY (a) REFERENCES s.u(b);\n";
        let (_, validate) = unvalidated(create).unwrap();
        assert_eq!(
            validate,
            "ALTER TABLE ONLY \"a ADD CONSTRAINT b\".\"ONLY\" \
             VALIDATE CONSTRAINT \"k FOREIGN KEY \"\" x\";\n"
        );
    }

    #[test]
    fn a_partitioned_tables_key_and_one_never_validated_are_added_as_they_are() {
        let partitioned =
            "ALTER TABLE \"s\".\"t\" ADD CONSTRAINT \"k\" FOREIGN KEY (a) REFERENCES u(b);\n";
        assert_eq!(unvalidated(partitioned), None);
        let not_valid = "ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"k\" FOREIGN KEY (a) REFERENCES u(b) NOT VALID;\n";
        assert_eq!(unvalidated(not_valid), None);
    }
}
