//! Devices of extensions made of SIPp: registered from the address at which they will be called.

use std::net::{Ipv4Addr, SocketAddr};

use crate::support::ear::Ear;
use crate::support::lab::{self, DOMAIN};
use crate::support::server::Server;
use crate::support::sipp::Sipp;
use crate::support::{address, at, seconds};

/// A device: an address and an ear at it.
pub struct Device {
    pub extension: String,
    pub address: Ipv4Addr,
    pub ear: Ear,
}

impl Device {
    /// A device that is not registered: it can call.
    pub fn new(extension: &str, tone_hz: Option<f64>) -> Device {
        let address = address();
        Device {
            extension: extension.to_string(),
            address,
            ear: Ear::open(address, tone_hz),
        }
    }

    /// A device that is registered over UDP.
    #[track_caller]
    pub fn registered(server: &Server, extension: &str, tone_hz: Option<f64>) -> Device {
        let device = Device::new(extension, tone_hz);
        device.register(server, 300);
        device
    }

    /// Registers; with 0, leaves.
    #[track_caller]
    pub fn register(&self, server: &Server, expires: u32) {
        self.sipp("register")
            .to(server.lab.phones())
            .set("expires", expires)
            .run();
    }

    pub fn socket(&self) -> SocketAddr {
        at(self.address, 5060)
    }

    /// A scenario at this device.
    pub fn sipp(&self, scenario: &str) -> Sipp {
        Sipp::new(scenario, self.socket())
            .ear(&self.ear)
            .set("domain", DOMAIN)
            .set("user", &self.extension)
            .set("caller", &self.extension)
            .set("password", lab::password(&self.extension))
    }

    /// A scenario that calls `callee` through the server.
    pub fn calls(&self, server: &Server, scenario: &str, callee: &str) -> Sipp {
        self.sipp(scenario)
            .to(server.lab.phones())
            .set("callee", callee)
    }
}

/// The carrier: it is known by its address and needs no password.
pub struct Carrier {
    pub address: Ipv4Addr,
    pub ear: Ear,
    port: u16,
}

impl Carrier {
    /// `line` tells several callers behind the one carrier apart (its port is 7000 + 10 × line:
    /// SIPp takes ports from 6000 for media of its own).
    pub fn new(server: &Server, line: u16, tone_hz: Option<f64>) -> Carrier {
        Carrier {
            address: server.lab.carrier,
            ear: Ear::open(server.lab.carrier, tone_hz),
            port: 7000 + 10 * line,
        }
    }

    /// A scenario that calls the DID.
    pub fn calls(&self, server: &Server, scenario: &str) -> Sipp {
        Sipp::new(scenario, at(self.address, self.port))
            .to(server.lab.trunks())
            .ear(&self.ear)
            .set("domain", server.lab.server)
            .set("caller", format!("+49301234{:04}", self.port))
            .set("callee", lab::DID)
            .set("password", "none")
            .timeout(seconds(60.0))
    }
}
