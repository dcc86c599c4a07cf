//! A small path in virtual time, to see what a [`Pacer`] makes of it.

use super::{Event, How, Pacer, PacingConfig};
use crate::ids::Millis;

const STEP: u64 = 5;
const STALLED_AFTER: u64 = 10_000;
const FIRST_WINDOW: f64 = 14_600.0;

/// What lies between the pacer and its origin. Rates in bytes a second, times in ms.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) round_trip: u64,
    /// All connections together.
    pub(super) line: f64,
    /// Each connection, on average; it swings like TCP's sawtooth when it is lossy.
    pub(super) connection: f64,
    pub(super) lossy: bool,
    /// An answer is cut after so many bytes.
    pub(super) cut: Option<u64>,
    /// More requests than this at a time get a 429.
    pub(super) at_most: Option<u32>,
    pub(super) retry_after: Option<u64>,
    /// A request for more than this gets a 413.
    pub(super) too_large: Option<u64>,
    /// Nothing arrives, and requests time out at once, within these times.
    pub(super) dead: std::ops::Range<u64>,
}

impl Path {
    pub(super) fn clean(round_trip: u64, line: f64) -> Self {
        Self {
            round_trip,
            line,
            connection: f64::INFINITY,
            lossy: false,
            cut: None,
            at_most: None,
            retry_after: None,
            too_large: None,
            dead: 0..0,
        }
    }

    pub(super) fn lossy(round_trip: u64, connection: f64) -> Self {
        Self { connection, lossy: true, ..Self::clean(round_trip, f64::INFINITY) }
    }
}

/// A kept-alive connection, busy with a request or free for the next.
#[derive(Debug, Clone)]
struct Connection {
    number: u64,
    window: f64,
    request: Option<Request>,
}

#[derive(Debug, Clone)]
struct Request {
    answers_at: u64,
    sent: u64,
    asked: u64,
    got: f64,
    last: u64,
}

/// One run: the pacer, the path, and what was seen.
pub(super) struct Run {
    pub(super) pacer: Pacer,
    pub(super) now: u64,
    path: Path,
    connections: Vec<Connection>,
    pub(super) unasked: u64,
    pub(super) arrived: u64,
    /// (time, level) whenever the level changed.
    pub(super) levels: Vec<(u64, u32)>,
    /// (time, bytes) of each request.
    pub(super) requests: Vec<(u64, u64)>,
    pub(super) refused: u32,
}

impl Run {
    pub(super) fn new(path: Path, bytes: u64) -> Self {
        let pacer = Pacer::new(PacingConfig::default());
        let levels = vec![(0, pacer.level())];
        Self {
            pacer,
            now: 0,
            path,
            connections: Vec::new(),
            unasked: bytes,
            arrived: 0,
            levels,
            requests: Vec::new(),
            refused: 0,
        }
    }

    pub(super) fn until(mut self, end: u64) -> Self {
        while self.now < end && (self.unasked > 0 || self.pacer.in_flight() > 0) {
            self.start_requests();
            self.move_bytes();
            self.give_up_stalled();
            self.now += STEP;
            if self.levels.last().is_some_and(|last| last.1 != self.pacer.level()) {
                self.levels.push((self.now, self.pacer.level()));
            }
        }
        self
    }

    /// When the level was first reached.
    pub(super) fn reached(&self, level: u32) -> Option<u64> {
        self.levels.iter().find(|seen| seen.1 >= level).map(|seen| seen.0)
    }

    /// Ms spent above a level.
    pub(super) fn above(&self, level: u32) -> u64 {
        let ends = self.levels.iter().skip(1).map(|next| next.0).chain([self.now]);
        let spans = self.levels.iter().zip(ends);
        spans.filter(|(seen, _)| seen.1 > level).map(|(seen, end)| end - seen.0).sum()
    }

    fn tell(&mut self, event: Event) {
        self.pacer.handle(Millis(self.now), event);
    }

    fn start_requests(&mut self) {
        while self.unasked > 0 && self.pacer.may_start(Millis(self.now)) {
            let asked = self.pacer.request_bytes(self.unasked);
            assert!(asked > 0 && asked <= self.unasked);
            self.tell(Event::Started);
            self.requests.push((self.now, asked));
            if let Some(how) = self.turned_away(asked) {
                self.refused += 1;
                self.tell(Event::Finished { how, bytes: 0 });
            } else {
                self.unasked -= asked;
                self.send(asked);
            }
        }
    }

    fn turned_away(&self, asked: u64) -> Option<How> {
        if self.path.dead.contains(&self.now) {
            return Some(How::TimedOut);
        }
        if self.path.too_large.is_some_and(|most| asked > most) {
            return Some(How::TooLarge);
        }
        let crowded = self.path.at_most.is_some_and(|most| self.pacer.in_flight() > most);
        crowded.then_some(How::TooMany { retry_after: self.path.retry_after })
    }

    fn send(&mut self, asked: u64) {
        let free = self.connections.iter().position(|c| c.request.is_none());
        let connecting = if free.is_some() { 0 } else { self.path.round_trip };
        let answers_at = self.now + connecting + self.path.round_trip.max(1);
        let at = free.unwrap_or_else(|| {
            let number = self.connections.len() as u64;
            self.connections.push(Connection { number, window: FIRST_WINDOW, request: None });
            self.connections.len() - 1
        });
        self.connections[at].request =
            Some(Request { answers_at, sent: self.now, asked, got: 0.0, last: self.now });
    }

    fn move_bytes(&mut self) {
        let demands: Vec<f64> = self.connections.iter().map(|c| self.demand(c)).collect();
        let wanted: f64 = demands.iter().sum();
        let share = if wanted > self.path.line { self.path.line / wanted } else { 1.0 };
        for (at, demand) in demands.into_iter().enumerate() {
            self.deliver(at, demand * share * STEP as f64 / 1000.0);
        }
    }

    /// Bytes a second that a connection would move if the line were free.
    fn demand(&self, connection: &Connection) -> f64 {
        let Some(request) = &connection.request else {
            return 0.0;
        };
        if self.now < request.answers_at || self.path.dead.contains(&self.now) {
            return 0.0;
        }
        let swing = if self.path.lossy {
            let phase = (self.now + connection.number * 1777) % 2400;
            2.0 / 3.0 + phase as f64 / 2400.0 * 2.0 / 3.0
        } else {
            1.0
        };
        let windowed = connection.window * 1000.0 / self.path.round_trip.max(1) as f64;
        windowed.min(self.path.connection * swing)
    }

    fn deliver(&mut self, at: usize, bytes: f64) {
        if bytes == 0.0 {
            return;
        }
        let connection = &mut self.connections[at];
        let growth = STEP as f64 / self.path.round_trip.max(1) as f64;
        connection.window = (connection.window * 2f64.powf(growth)).min(1e9);
        let Some(request) = &mut connection.request else {
            return;
        };
        let first = (request.got == 0.0).then_some(self.now - request.sent);
        let end = request.asked.min(self.path.cut.unwrap_or(u64::MAX));
        let before = request.got as u64;
        request.got = (request.got + bytes).min(end as f64);
        request.last = self.now;
        let (got, asked) = (request.got as u64, request.asked);
        if got == end {
            connection.request = None;
        }
        if let Some(after) = first {
            self.tell(Event::FirstByte { after });
        }
        self.arrived += got - before;
        self.tell(Event::Bytes(got - before));
        if got == end {
            self.unasked += asked - end;
            let how = if end == asked { How::Done } else { How::Cut };
            self.tell(Event::Finished { how, bytes: got });
        }
    }

    fn give_up_stalled(&mut self) {
        for at in 0..self.connections.len() {
            let stalled = |r: &mut Request| self.now - r.last > STALLED_AFTER;
            if let Some(request) = self.connections[at].request.take_if(stalled) {
                let bytes = request.got as u64;
                self.unasked += request.asked - bytes;
                self.tell(Event::Finished { how: How::Stalled, bytes });
            }
        }
    }
}
