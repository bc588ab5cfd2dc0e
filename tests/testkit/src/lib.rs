#![doc = include_str!("../README.md")]

mod activemq;
mod apt_host;
mod apt_repository;
mod broker;
mod certificates;
mod chance;
mod documented;
mod folder;
mod jenkins;
mod member;
mod mirror;
mod origin;
mod process;
mod proxy;
mod rabbitmq;
mod running;
mod trust;
mod waiting;

pub use activemq::ActiveMq;
pub use apt_host::{AptHost, RootPart};
pub use apt_repository::AptRepository;
pub use broker::TestBroker;
pub use certificates::Certificates;
pub use chance::{CountedBytes, HandClock};
pub use folder::Folder;
pub use jenkins::{BuildSeen, Jenkins, JenkinsFault, Job, Parameters, RequestSeen, Stop};
pub use member::{Ear, Member};
pub use mirror::Mirror;
pub use origin::Origin;
pub use process::BrokerProcess;
pub use proxy::{Fault, Faults, Proxy, Strike, Way};
pub use rabbitmq::RabbitMq;
pub use running::Running;
pub use trust::Trust;
pub use waiting::{LONG, SOON, until};
