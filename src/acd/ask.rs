//! Short questions that the switch asks before it gives an order.

use super::core::Acd;

impl Acd {
    /// True when this extension is an agent of some queue.
    pub fn knows_agent(&self, extension: &str) -> bool {
        self.agent_names.contains_key(extension)
    }

    /// True when this queue exists.
    pub fn knows_queue(&self, name: &str) -> bool {
        self.queue_names.contains_key(name)
    }

    /// True while the agent is logged in.
    pub fn is_logged_in(&self, extension: &str) -> bool {
        self.agent_names
            .get(extension)
            .and_then(|&key| self.agents.get(key))
            .is_some_and(|agent| agent.logged_in.is_some())
    }

    /// Other live calls on the extension, as the ACD knows them.
    pub fn other_calls(&self, extension: &str) -> Option<u32> {
        let key = self.agent_names.get(extension)?;
        Some(self.agents.get(*key)?.live)
    }

    /// Work items that wait or are with an agent.
    pub fn open_items(&self) -> usize {
        self.items.len()
    }
}
