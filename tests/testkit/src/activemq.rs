//! Debian's `ActiveMQ` classic.

use command::Program;

use crate::{BrokerProcess, Folder};

/// Of the package `activemq`. `/usr/bin/activemq` would change to the package's user.
const JAR: &str = "/usr/share/activemq/bin/activemq.jar";

/// What the packaged start script opens of Java's inside.
const OPENED: [&str; 7] = [
    "java.base/java.security",
    "java.base/java.net",
    "java.base/java.lang",
    "java.base/java.util",
    "java.naming/javax.naming.spi",
    "java.rmi/sun.rmi.transport.tcp",
    "java.base/java.util.concurrent",
];

/// Debian's `ActiveMQ` classic: STOMP only, messages in `KahaDB`.
#[derive(Debug)]
pub struct ActiveMq;

impl ActiveMq {
    /// Starts it and waits until it accepts a client.
    ///
    /// # Panics
    /// It is not installed or did not start, with the last lines of its log.
    pub async fn start() -> BrokerProcess {
        BrokerProcess::start("ActiveMQ", program).await
    }
}

fn program(folder: &Folder, port: u16) -> Program {
    let at = |path: &str| folder.join(path).display().to_string();
    folder.write("conf/activemq.xml", &settings(port));
    folder.write("conf/log4j2.properties", LOG);
    folder.write("tmp/README", "Java's temporary files.\n");
    BrokerProcess::program("java")
        .folder(folder.path())
        .env("HOME", at("tmp"))
        .args(["-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dactivemq.home=/usr/share/activemq")
        .arg(format!("-Dactivemq.base={}", folder.path().display()))
        .arg(format!("-Dactivemq.conf={}", at("conf")))
        .arg(format!("-Dactivemq.data={}", at("data")))
        .arg(format!("-Dactivemq.classpath={}", at("conf")))
        .arg(format!(
            "-Dlog4j2.configurationFile={}",
            at("conf/log4j2.properties")
        ))
        .arg(format!("-Djava.io.tmpdir={}", at("tmp")))
        .arg("--add-reads=java.xml=java.logging")
        .args(OPENED.map(|package| format!("--add-opens={package}=ALL-UNNAMED")))
        .args(["-jar", JAR, "start"])
        .arg(format!("xbean:file:{}", at("conf/activemq.xml")))
}

fn settings(port: u16) -> String {
    let (login, passcode) = (BrokerProcess::LOGIN, BrokerProcess::PASSCODE);
    format!(
        r#"<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <bean class="org.springframework.beans.factory.config.PropertyPlaceholderConfigurer"/>
  <broker xmlns="http://activemq.apache.org/schema/core" useJmx="false" brokerName="test"
          dataDirectory="${{activemq.data}}" schedulerSupport="false">
    <persistenceAdapter><kahaDB directory="${{activemq.data}}/kahadb"/></persistenceAdapter>
    <plugins>
      <simpleAuthenticationPlugin><users>
        <authenticationUser username="{login}" password="{passcode}" groups="services"/>
      </users></simpleAuthenticationPlugin>
    </plugins>
    <systemUsage><systemUsage sendFailIfNoSpace="true">
      <memoryUsage><memoryUsage limit="64 mb"/></memoryUsage>
      <storeUsage><storeUsage limit="512 mb"/></storeUsage>
      <tempUsage><tempUsage limit="128 mb"/></tempUsage>
    </systemUsage></systemUsage>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://127.0.0.1:{port}?transport.hbGracePeriodMultiplier=1.5&amp;transport.tcpNoDelay=true&amp;wireFormat.maxFrameSize=1048576"/>
    </transportConnectors>
  </broker>
</beans>
"#
    )
}

const LOG: &str = "rootLogger.level=INFO
rootLogger.appenderRef.console.ref=Console
appender.console.type=Console
appender.console.name=Console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %5p | %m | %c%n%throwable{short}
";
