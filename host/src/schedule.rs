//! Whose turn it is to run: so many at once, and the others in a fair order.
//!
//! Tenants are served in turn, within a tenant its agents, within an agent whoever came first. So nobody waits behind all of what
//! somebody else has asked for. What waits is bounded; what is refused here is on disk and can be picked up later.

use crate::refusals::{Code, Problem, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

/// How many runs may wait for a turn.
pub const GATE_WAITING_MAX: usize = 10_000;

/// Lets so many runs through at once. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    runs: usize,
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// The turns that are taken. While there is room for one more, nobody waits.
    running: BTreeSet<u64>,
    waiting: Fair<oneshot::Sender<()>>,
}

/// A turn, given back when it is dropped.
#[must_use = "the turn is over when this is dropped"]
pub struct Turn {
    gate: Arc<Inner>,
    place: Place,
}

impl Gate {
    /// A gate for so many runs at once; for one where that is none.
    pub fn new(runs: usize) -> Gate {
        Gate(Arc::new(Inner { runs: runs.max(1), state: Mutex::default(), idle: Notify::new() }))
    }

    /// Waits for a turn. Who stops waiting leaves the queue, and has taken nothing.
    ///
    /// # Errors
    ///
    /// `BUSY` where [`GATE_WAITING_MAX`] wait already; `SHUTTING_DOWN` once the gate is closed.
    pub async fn turn(&self, tenant: &str, agent: &str) -> Result<Turn> {
        let (tell, told) = oneshot::channel();
        let turn = {
            let mut state = self.0.state();
            if state.closed {
                return Err(shutting_down().into());
            }
            if state.waiting.len() >= GATE_WAITING_MAX {
                let message = format!("{GATE_WAITING_MAX} runs wait for their turn already");
                return Err(Problem::new(Code::Busy, message)
                    .hint("try again in a moment; nothing of what is waiting is lost")
                    .into());
            }
            let place = state.waiting.push(tenant, agent, tell);
            self.0.admit(&mut state);
            Turn { gate: self.0.clone(), place }
        };
        // Nobody tells those whom closing has sent away.
        told.await.map_err(|_| shutting_down())?;
        Ok(turn)
    }

    /// Gives no more turns, and sends away who waits. Turns that are taken stay taken.
    pub fn close(&self) {
        let mut state = self.0.state();
        state.closed = true;
        state.waiting = Fair::default();
    }

    /// Waits until no turn is taken. Only a closed gate stays that way.
    pub async fn idle(&self) {
        loop {
            // Made before looking: from here on no notification is missed.
            let notified = self.0.idle.notified();
            if self.running() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// How many turns are taken.
    pub fn running(&self) -> usize {
        self.0.state().running.len()
    }

    /// How many wait for one.
    pub fn depth(&self) -> usize {
        self.0.state().waiting.len()
    }
}

fn shutting_down() -> Problem {
    Problem::new(Code::ShuttingDown, "no run is begun any more")
        .hint("what was submitted is on disk, and goes on with the next start")
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Gives away what turns there are.
    fn admit(&self, state: &mut State) {
        while state.running.len() < self.runs
            && let Some((number, tell)) = state.waiting.pop()
        {
            // The turn is theirs even if they have just stopped listening: dropping it, they give it back.
            state.running.insert(number);
            let _ = tell.send(());
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if state.running.remove(&self.place.number) {
            self.gate.admit(&mut state);
        } else {
            // It was never given: who waited for it has gone.
            state.waiting.remove(&self.place);
        }
        if state.running.is_empty() {
            self.gate.idle.notify_waiters();
        }
    }
}

/// A queue that is fair between tenants, and within a tenant between its agents. No step looks at all that waits.
#[derive(Debug)]
pub struct Fair<T> {
    tenants: Ring<Ring<BTreeMap<u64, T>>>,
    len: usize,
    /// Counts every arrival and every turn.
    count: u64,
}

/// Where something waits in a [`Fair`] queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    tenant: Arc<str>,
    agent: Arc<str>,
    number: u64,
}

impl<T> Default for Fair<T> {
    fn default() -> Fair<T> {
        Fair { tenants: Ring::default(), len: 0, count: 0 }
    }
}

impl<T> Fair<T> {
    /// Lines `item` up behind what the same agent of the same tenant has waiting.
    pub fn push(&mut self, tenant: &str, agent: &str, item: T) -> Place {
        let (number, tenant, agent) = (self.tick(), Arc::from(tenant), Arc::from(agent));
        self.tenants.join(&tenant, number).join(&agent, number).insert(number, item);
        self.len += 1;
        Place { tenant, agent, number }
    }

    /// Takes out whose turn it is, with the number of their place.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        let turn = self.tick();
        let found = self.tenants.serve(turn, |agents| agents.serve(turn, BTreeMap::pop_first));
        self.len -= usize::from(found.is_some());
        found
    }

    /// Takes out what waits at `place`, if it still does.
    pub fn remove(&mut self, place: &Place) -> Option<T> {
        let Place { tenant, agent, number } = place;
        let found = self.tenants.visit(tenant, |agents| agents.visit(agent, |items| items.remove(number)));
        self.len -= usize::from(found.is_some());
        found
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn tick(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

/// Lines of equal right, served one after the other. None of them is empty.
#[derive(Debug)]
struct Ring<L> {
    /// Each line, and when its turn comes.
    lines: BTreeMap<Arc<str>, (u64, L)>,
    order: BTreeMap<u64, Arc<str>>,
}

/// What stands in a ring.
trait Line: Default {
    fn is_empty(&self) -> bool;
}

impl<T> Line for BTreeMap<u64, T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<L> Line for Ring<L> {
    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl<L> Default for Ring<L> {
    fn default() -> Ring<L> {
        Ring { lines: BTreeMap::new(), order: BTreeMap::new() }
    }
}

impl<L: Line> Ring<L> {
    /// The line `name`, for something to be put into it. A new one comes behind the others, at `turn`.
    fn join(&mut self, name: &Arc<str>, turn: u64) -> &mut L {
        let order = &mut self.order;
        let line = self.lines.entry(name.clone()).or_insert_with(|| {
            order.insert(turn, name.clone());
            (turn, L::default())
        });
        &mut line.1
    }

    /// Takes from the line whose turn it is. Its next turn is behind the others, at `turn`.
    fn serve<T>(&mut self, turn: u64, take: impl FnOnce(&mut L) -> Option<T>) -> Option<T> {
        let (_, name) = self.order.pop_first()?;
        let (at, line) = self.lines.get_mut(&name)?;
        let taken = take(line);
        match line.is_empty() {
            true => drop(self.lines.remove(&name)),
            false => {
                *at = turn;
                self.order.insert(turn, name);
            }
        }
        taken
    }

    /// Takes from the line `name`, whose turn stays where it is.
    fn visit<T>(&mut self, name: &str, take: impl FnOnce(&mut L) -> Option<T>) -> Option<T> {
        let (at, line) = self.lines.get_mut(name)?;
        let taken = take(line);
        if line.is_empty() {
            self.order.remove(at);
            self.lines.remove(name);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[derive(Clone, Debug)]
    enum Step {
        Push {
            tenant: u8,
            agent: u8,
        },
        Pop,
        /// Takes out one of those that wait.
        Remove(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let push = (0..4u8, 0..3u8).prop_map(|(tenant, agent)| Step::Push { tenant, agent });
        vec(prop_oneof![3 => push, 2 => Just(Step::Pop), 1 => any::<usize>().prop_map(Step::Remove)], 0..120)
    }

    /// What waits: when it came, whose it is, and whose turns it has seen pass.
    struct Waiter {
        number: u64,
        tenant: u8,
        agent: u8,
        place: Place,
        passed: Vec<(u8, u8)>,
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn tenants_take_turns_and_so_do_their_agents_and_nothing_is_lost(steps in steps()) {
            let mut fair = Fair::default();
            let mut waiting: Vec<Waiter> = Vec::new();
            for (number, step) in (0..).zip(steps) {
                match step {
                    Step::Push { tenant, agent } => {
                        let place = fair.push(&tenant.to_string(), &agent.to_string(), number);
                        waiting.push(Waiter { number, tenant, agent, place, passed: vec![] });
                    }
                    Step::Pop => {
                        let popped = fair.pop();
                        prop_assert_eq!(popped.is_some(), !waiting.is_empty(), "it gives what there is");
                        let Some((_, number)) = popped else { continue };
                        let at = waiting.iter().position(|waiter| waiter.number == number);
                        let served = waiting.remove(at.expect("it gives what waits, and that once"));
                        for other in &mut waiting {
                            let (tenant, agent) = (served.tenant, served.agent);
                            let is_of_same = (other.tenant, other.agent) == (tenant, agent);
                            prop_assert!(!is_of_same || other.number > number, "within an agent the first comes first");
                            other.passed.push((tenant, agent));
                        }
                    }
                    Step::Remove(_) if waiting.is_empty() => {}
                    Step::Remove(which) => {
                        let gone = waiting.remove(which % waiting.len());
                        prop_assert_eq!(fair.remove(&gone.place), Some(gone.number));
                        prop_assert_eq!(fair.remove(&gone.place), None, "it leaves once");
                    }
                }
                prop_assert_eq!(fair.len(), waiting.len());
                prop_assert_eq!(fair.is_empty(), waiting.is_empty());
                for waiter in &waiting {
                    // While it waits, its tenant stands in the ring all the time, and so does its agent.
                    for tenant in 0..4 {
                        let own = waiter.passed.iter().enumerate().filter(|(_, by)| by.0 == waiter.tenant);
                        let bounds: Vec<_> = own.map(|(at, _)| at).chain([waiter.passed.len()]).collect();
                        let mut from = 0;
                        for to in bounds {
                            let others = waiter.passed[from..to].iter().filter(|by| by.0 == tenant).count();
                            prop_assert!(others <= 1, "between two turns of a tenant each other has one at most");
                            from = (to + 1).min(waiter.passed.len());
                        }
                    }
                    let of_tenant = waiter.passed.iter().filter(|by| by.0 == waiter.tenant);
                    for agent in (0..3).filter(|agent| *agent != waiter.agent) {
                        let own = of_tenant.clone().filter(|by| by.1 == waiter.agent).count();
                        let others = of_tenant.clone().filter(|by| by.1 == agent).count();
                        prop_assert!(others <= own + 1, "its agent has as many turns as any other of its tenant");
                    }
                }
            }
        }

        #[test]
        fn who_comes_into_a_flood_waits_for_one_turn_of_it(flood in 1..200usize, before in 0..50usize) {
            let mut fair = Fair::default();
            (0..flood).for_each(|_| drop(fair.push("a", "x", "flood")));
            for _ in 0..before {
                fair.pop();
            }
            fair.push("b", "y", "newcomer");
            let turns = std::iter::from_fn(|| fair.pop()).position(|(_, whose)| whose == "newcomer");
            prop_assert!(turns.unwrap() <= 1);
        }
    }

    /// Whether a future is ready, polled once.
    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn so_many_run_at_once_and_each_turn_given_back_is_the_next_one_s() {
        let gate = Gate::new(2);
        let (mut first, mut second, mut third) =
            (pin!(gate.turn("a", "x")), pin!(gate.turn("a", "x")), pin!(gate.turn("a", "x")));
        let one = poll(first.as_mut()).unwrap().unwrap();
        let two = poll(second.as_mut()).unwrap().unwrap();
        assert!(poll(third.as_mut()).is_none());
        assert_eq!((gate.running(), gate.depth()), (2, 1));
        drop(one);
        let three = poll(third.as_mut()).unwrap().unwrap();
        assert_eq!((gate.running(), gate.depth()), (2, 0));
        drop((two, three));
        assert_eq!((gate.running(), gate.depth()), (0, 0));
    }

    #[test]
    fn who_stops_waiting_leaves_the_queue_even_with_a_turn_it_has_not_heard_of() {
        let gate = Gate::new(1);
        let held = poll(pin!(gate.turn("a", "x"))).unwrap().unwrap();
        let mut patient = Box::pin(gate.turn("a", "x"));
        let mut impatient = Box::pin(gate.turn("a", "x"));
        let mut last = Box::pin(gate.turn("a", "x"));
        assert!(poll(patient.as_mut()).is_none() && poll(impatient.as_mut()).is_none());
        assert!(poll(last.as_mut()).is_none());
        drop(impatient);
        assert_eq!(gate.depth(), 2);
        drop(held);
        // The turn is that of `patient`, who never looks.
        drop(patient);
        assert!(poll(last.as_mut()).unwrap().is_ok());
        assert_eq!((gate.running(), gate.depth()), (0, 0));
    }

    #[test]
    fn no_more_wait_than_may() {
        let gate = Gate::new(1);
        let _held = poll(pin!(gate.turn("a", "x"))).unwrap().unwrap();
        let mut waiting = Vec::new();
        for _ in 0..GATE_WAITING_MAX {
            waiting.push(Box::pin(gate.turn("a", "x")));
            assert!(poll(waiting.last_mut().unwrap().as_mut()).is_none());
        }
        let refused = poll(pin!(gate.turn("b", "y"))).unwrap();
        let Err(crate::refusals::Error::Refused(problem)) = refused else { panic!("it was let in") };
        assert_eq!(problem.code, Code::Busy);
        waiting.pop();
        assert!(poll(pin!(gate.turn("b", "y"))).is_none(), "there is room again");
    }

    #[test]
    fn a_closed_gate_gives_no_turn_and_is_idle_when_all_are_given_back() {
        let gate = Gate::new(1);
        let held = poll(pin!(gate.turn("a", "x"))).unwrap().unwrap();
        let mut waits = Box::pin(gate.turn("a", "x"));
        assert!(poll(waits.as_mut()).is_none());
        gate.close();
        for sent_away in [poll(waits.as_mut()), poll(pin!(gate.turn("a", "x")))] {
            let Some(Err(crate::refusals::Error::Refused(problem))) = sent_away else { panic!("it may run") };
            assert_eq!(problem.code, Code::ShuttingDown);
        }
        let mut idle = pin!(gate.idle());
        assert!(poll(idle.as_mut()).is_none());
        drop(held);
        assert!(poll(idle.as_mut()).is_some());
        assert_eq!((gate.running(), gate.depth()), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn under_a_crowd_nobody_is_forgotten_and_never_too_many_run() {
        let gate = Gate::new(4);
        let tasks: Vec<_> = (0..400)
            .map(|number| {
                let gate = gate.clone();
                tokio::spawn(async move {
                    let (tenant, agent) = ((number % 3).to_string(), (number % 5).to_string());
                    let turn = gate.turn(&tenant, &agent);
                    let turn = match number % 4 {
                        // Gone before it is its turn, or as it is.
                        0 => tokio::time::timeout(std::time::Duration::from_micros(number), turn).await.ok(),
                        _ => Some(turn.await),
                    };
                    assert!(gate.running() <= 4);
                    tokio::task::yield_now().await;
                    turn.map(Result::unwrap).is_some()
                })
            })
            .collect();
        let mut served = 0;
        for task in tasks {
            served += usize::from(task.await.unwrap());
        }
        gate.idle().await;
        assert!(served >= 300);
        assert_eq!((gate.running(), gate.depth()), (0, 0));
    }
}
