//! Commands that a client sent behind the one that is being executed, and that the agent executes
//! together with it. Not pipelining as such: what is not taken here waits for its turn. Called by
//! `mda::retrieve` for commands that share one barrier.

use super::state::{Phase, Running};
use super::{Command, Server, limits, parse_command_in};

impl Server {
    /// The next command, if it has come whole and without literals, is allowed now and is wanted.
    /// It is answered with [`Server::finish`] after those before it.
    ///
    /// RFC 3501 §5.5: a server may begin a command before it has finished another, where that
    /// makes no difference to the results; whether it does is for the agent to say.
    pub fn take_following(&mut self, wanted: impl FnOnce(&Command) -> bool) -> Option<Command> {
        if !matches!(self.phase, Phase::Execute(_)) || self.following.len() >= limits::FOLLOWING {
            return None;
        }
        let (length, line) = self.input.whole_line(self.state.command_size())?;
        let (tag, command) = parse_command_in(line, self.out.names()).ok()?;
        if self.state.permits(&command).is_err() || !wanted(&command) {
            return None;
        }
        self.input.take(length);
        self.following.push_back(Running::new(tag, &command));
        Some(command)
    }
}
