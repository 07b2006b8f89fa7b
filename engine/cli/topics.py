"""``plimsoll topics``: the topics of a Kafka cluster."""

import asyncio

import click

from engine.cli.kafka_options import cluster_options, connecting, kafka_of
from engine.cli.options import app_option, json_option, show_json, show_table
from engine.cli.sending import end
from engine.config import Config
from schemas.topics import PARTITIONS_DEFAULT


@click.group(short_help="The topics of a Kafka cluster.")
def topics() -> None:
    """Makes and compares the topics that the engine needs on Kafka.

    \b
    plimsoll topics create --bootstrap 127.0.0.1:9092
    """


@topics.command(short_help="Make the topics, or say what differs.")
@cluster_options
@click.option(
    "--partitions",
    type=click.IntRange(1, 1024),
    default=PARTITIONS_DEFAULT,
    show_default=True,
    help="Units of order, state and scaling: fixed for life.",
)
@app_option
@click.option("--replication", type=click.IntRange(1, 32), help="Copies of each partition. Default: the cluster's.")
@json_option
def create(config: Config, partitions: int, app: str | None, replication: int | None, as_json: bool) -> None:
    """Makes every topic with its policy, and those by which the workers of --app are a group.

    Run again it makes only what is missing. What exists is never altered: where it differs from what is needed, the
    difference is told, exit 1.

    \b
    plimsoll topics create --bootstrap 127.0.0.1:9092
    plimsoll topics create --bootstrap kafka-1:9092,kafka-2:9092 --partitions 64 --replication 3
    """
    kafka = kafka_of(config)
    with connecting(kafka):
        from engine.kafka.clients import open_admin
        from engine.kafka.topics import TopicFinding, create_topics

        async def made() -> list[TopicFinding]:
            admin = open_admin(kafka, "plimsoll-topics")
            try:
                await admin.start()
                return list(await create_topics(admin, kafka.prefix, partitions, replication, app=kafka.app_id(app)))
            finally:
                await admin.close()

        findings = asyncio.run(made())
    if as_json:
        show_json(findings)
    else:
        show_table(["topic", "state", "detail"], [[each.topic, each.state, each.detail] for each in findings])
    end(failed=any(finding.state == "differs" for finding in findings))
