#![doc = include_str!("../README.md")]

mod activemq;
mod broker;
mod certificates;
mod chance;
mod documented;
mod folder;
mod member;
mod origin;
mod process;
mod proxy;
mod rabbitmq;
mod running;
mod trust;
mod waiting;

pub use activemq::ActiveMq;
pub use broker::TestBroker;
pub use certificates::Certificates;
pub use chance::{CountedBytes, HandClock};
pub use folder::Folder;
pub use member::{Ear, Member};
pub use origin::Origin;
pub use process::BrokerProcess;
pub use proxy::{Fault, Faults, Proxy, Strike, Way};
pub use rabbitmq::RabbitMq;
pub use running::Running;
pub use trust::Trust;
pub use waiting::{LONG, SOON, until};
