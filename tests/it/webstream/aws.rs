//! Passwords in AWS Secrets Manager, and what AWS tells of the target, by a stand-in that checks every
//! signature.

use pgconvoy::servers::Spec;

use super::hosts::{Ended, Installation};
use crate::kit::{self, AwsStandIn};
use crate::trial;

const NAMES: [&str; 3] = ["webstream_iam", "webstream_metrics", "webstream_activity"];
const ROLES: &str = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_roles \
     WHERE rolname LIKE 'webstream%'";

/// Both servers, and AWS.
async fn with_aws() -> (Installation, AwsStandIn) {
    let target = Spec::rds_like()
        .major(15)
        .setting("max_connections", "300")
        .setting("log_statement", "all")
        .setting("logging_collector", "on");
    let (source, target) = tokio::join!(kit::bundled(15), kit::start(target));
    let mut it = Installation::between(source, target);
    for name in NAMES {
        trial::make_database(&it.source, name, "CREATE TABLE t AS SELECT 1 AS n").await;
    }
    let aws = AwsStandIn::start();
    it.variables.extend(aws.variables());
    (it, aws)
}

fn provision(it: &Installation) -> Ended {
    let mut words = vec!["provision".to_owned()];
    words.extend(it.said());
    let at = words.iter().position(|word| word == "--secrets").unwrap();
    words[at + 1] = "aws:webstream/".to_owned();
    it.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn variable(role: &str) -> String {
    format!("webstream/{}_PASSWORD", role.to_uppercase())
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_secrets_of_aws_before_they_are_set_and_are_nowhere_else() {
    let (it, aws) = with_aws().await;
    let plan = "gateway/pgconvoy.webstream.json";
    // The first answer gets lost: asking again makes no second secret, and isn't refused.
    aws.state().answers_lost.insert("CreateSecret");
    let mut told = provision(&it).fine();
    let made = aws.state().secrets.clone();
    assert_eq!(made.keys().cloned().collect::<Vec<_>>(), {
        let mut names = NAMES.map(variable);
        names.sort();
        names
    });
    told += &provision(&it).fine();
    assert_eq!(aws.state().secrets, made);
    // What comes next reads them there, as the plan file says.
    told += &it.step(&["migrate"]).fine();
    let log = "SELECT pg_catalog.pg_read_file(pg_catalog.pg_current_logfile())";
    let logged = trial::ask(&it.target, "postgres", log).await;
    assert!(logged.contains("CREATE ROLE"), "nothing is logged");
    assert!(it.text(plan).contains("\"aws:webstream/\""));
    for name in NAMES {
        let (password, _) = &made[&variable(name)];
        let as_service = it.target.conninfo_as(name, password, name);
        assert_eq!(
            kit::ask(&as_service, "SELECT pg_catalog.count(*)::text FROM public.t").await,
            "1"
        );
        for (place, text) in
            [("is said", &told), ("the plan", &it.text(plan)), ("the log", &logged)]
        {
            assert!(!text.contains(password), "{place}: {text}");
        }
    }
    assert!(!it.path("secrets.env").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_aws_refuses_nothing_is_changed() {
    let (mut it, aws) = with_aws().await;
    for (action, code) in [("GetSecretValue", "AccessDenied"), ("CreateSecret", "AccessDenied")] {
        aws.state().denied = [action].into();
        let said = provision(&it).refused();
        for words in [code, "you may not perform", &format!("allow secretsmanager:{action}")] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    aws.state().denied.clear();

    // Somebody made the secret a moment ago.
    aws.state().overtaken.insert(variable(NAMES[2]), "another's".to_owned());
    let said = provision(&it).refused();
    assert!(said.contains("is there already, with another value"), "{said}");
    assert!(!said.contains("another's"), "{said}");
    assert_eq!(aws.state().secrets[&variable(NAMES[2])].0, "another's");

    let wrong = "another secret key";
    it.variables.insert("AWS_SECRET_ACCESS_KEY".to_owned(), wrong.to_owned());
    let said = provision(&it).refused();
    assert!(
        said.contains("SignatureDoesNotMatch") && said.contains("sts get-caller-identity"),
        "{said}"
    );
    assert!(!said.contains(wrong), "{said}");

    it.variables.remove("AWS_SECRET_ACCESS_KEY");
    it.variables.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
    let said = provision(&it).refused();
    assert!(said.contains("looking for AWS credentials") && said.contains("AWS_PROFILE"), "{said}");
    assert_eq!(trial::ask(&it.target, "postgres", ROLES).await, "0");
}

/// DescribeDBInstances' answer for one instance.
fn instance(public: bool) -> String {
    format!(
        "<DescribeDBInstancesResponse xmlns='http://rds.amazonaws.com/doc/2014-10-31/'>\
         <DescribeDBInstancesResult><DBInstances><DBInstance>\
         <DBInstanceIdentifier>ws</DBInstanceIdentifier><DBInstanceClass>db.m6g.large</DBInstanceClass>\
         <PubliclyAccessible>{public}</PubliclyAccessible><MultiAZ>false</MultiAZ>\
         <StorageType>gp3</StorageType><AllocatedStorage>100</AllocatedStorage><Iops>3000</Iops>\
         <BackupRetentionPeriod>1</BackupRetentionPeriod>\
         <PreferredBackupWindow>00:00-23:59</PreferredBackupWindow>\
         <PreferredMaintenanceWindow>sun:05:00-sun:05:30</PreferredMaintenanceWindow>\
         <VpcSecurityGroups><VpcSecurityGroupMembership><VpcSecurityGroupId>sg-1</VpcSecurityGroupId>\
         <Status>active</Status></VpcSecurityGroupMembership></VpcSecurityGroups>\
         </DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"
    )
}

fn free_bytes(bytes: u64) -> String {
    let point = |at: &str, minimum: u64| {
        format!("<member><Timestamp>{at}</Timestamp><Minimum>{minimum}.0</Minimum></member>")
    };
    format!(
        "<GetMetricStatisticsResponse><GetMetricStatisticsResult><Datapoints>{}{}</Datapoints>\
         </GetMetricStatisticsResult></GetMetricStatisticsResponse>",
        point("2027-01-15T08:00:00Z", bytes),
        point("2027-01-15T07:00:00Z", 1 << 40)
    )
}

/// DescribeDBClusters' answer.
const CLUSTER: &str = "<R><DBClusters><DBCluster><MultiAZ>false</MultiAZ>\
     <BackupRetentionPeriod>7</BackupRetentionPeriod>\
     <PreferredBackupWindow>00:00-23:59</PreferredBackupWindow>\
     <PreferredMaintenanceWindow>mon:00:00-sun:23:59</PreferredMaintenanceWindow>\
     </DBCluster></DBClusters></R>";

/// Checks a target that is called like this.
fn check(it: &Installation, name: &str) -> Ended {
    let target = format!(
        "host={name}.eu-west-2.rds.amazonaws.com hostaddr=127.0.0.1 port={} user=master \
         dbname=postgres sslmode=verify-ca sslrootcert={}",
        it.target.port(),
        it.target.authority().display()
    );
    let mut words = vec!["check".to_owned()];
    words.extend(it.said());
    let at = words.iter().position(|word| word == "--target").unwrap();
    words[at + 1] = target;
    it.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_knows_of_the_target_is_judged_and_what_it_refuses_to_tell_is_unknown() {
    let (mut it, aws) = with_aws().await;
    // By its name, the region is another than the one that is set.
    it.variables.insert("AWS_REGION".to_owned(), "us-east-1".to_owned());
    aws.state().answers.extend([
        ("DescribeDBInstances", instance(true)),
        ("GetMetricStatistics", free_bytes(1 << 20)),
        (
            "DescribeSecurityGroups",
            "<R><securityGroupInfo><item><groupId>sg-1</groupId><ipPermissions><item>\
             <ipProtocol>-1</ipProtocol><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges>\
             </item></ipPermissions></item></securityGroupInfo></R>"
                .to_owned(),
        ),
    ]);
    let ended = check(&it, "ws.c1abc");
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.said);
    for words in [
        "yes, says the provider's API",
        "is public: its name leads the whole internet to it",
        "lets everybody in to port",
        "has 0.0 GiB free",
        "isn't Multi-AZ",
        "for 1 day only",
        "its backup window, 00:00-23:59 (UTC), is open now",
        "ws: public, db.m6g.large, one zone, gp3 of 100 GiB, 3000 IOPS, security groups sg-1",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    assert!(!ended.out.contains("aws ec2 describe-security-groups"), "{}", ended.out);

    aws.state().answers.insert("DescribeDBInstances", instance(false));
    aws.state().denied = ["DescribeSecurityGroups", "GetMetricStatistics"].into();
    let told = check(&it, "ws.c1abc").fine();
    for words in [
        "no, says the provider's API",
        "unknown: asking AWS (DescribeSecurityGroups): UnauthorizedOperation: you may not perform",
        "allow ec2:DescribeSecurityGroups to this AWS identity",
        "aws ec2 describe-security-groups --region eu-west-2 --group-ids sg-1 ",
        "allow cloudwatch:GetMetricStatistics",
        "aws cloudwatch get-metric-statistics",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }

    // A cluster's storage grows by itself, its backups slow nobody down; and EC2 is out of reach.
    let instance = instance(false).replace("gp3", "aurora");
    aws.state()
        .answers
        .extend([("DescribeDBInstances", instance), ("DescribeDBClusters", CLUSTER.into())]);
    aws.state().asked.clear();
    it.variables.insert("AWS_ENDPOINT_URL_EC2".to_owned(), "http://127.0.0.1:1".to_owned());
    let told = check(&it, "ws.cluster-c1abc").fine();
    assert_eq!(aws.state().asked, ["DescribeDBInstances", "DescribeDBClusters"]);
    for words in [
        "ws: not public, db.m6g.large, storage that grows by itself, security groups sg-1",
        "cluster ws: isn't Multi-AZ",
        "its maintenance window, mon:00:00-sun:23:59 (UTC), is open now",
        "check that http://127.0.0.1:1 is reached from here",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("its backup window"), "{told}");
}
