"""One node's whole life through Spot's published Python SDK, unmodified.

Arguments: the server's address, and its token.
"""

import sys

from spotinst_sdk2 import SpotinstSession
from spotinst_sdk2.client import SpotinstClientException
from spotinst_sdk2.models.managed_instance.aws import (
    AmiBackup,
    BlockDeviceMapping,
    Compute,
    DeallocationConfig,
    EBS,
    InstanceTypes,
    LaunchSpecification,
    ManagedInstance,
    Persistence,
    Strategy,
    Tag,
)

base_url, token = sys.argv[1:]
session = SpotinstSession(base_url=base_url, auth_token=token, account_id="act-12345678")
client = session.client("managed_instance_aws", print_output=False)


def check(found, expected):
    if found != expected:
        raise AssertionError(f"expected {expected!r}, found {found!r}")


def refused(call):
    try:
        call()
    except SpotinstClientException as error:
        return error.message
    raise AssertionError("this should have been refused")


node = ManagedInstance(
    name="sdk",
    region="local-1",
    strategy=Strategy(life_cycle="spot", draining_timeout=60, fallback_to_od=True, optimization_windows=None),
    persistence=Persistence(persist_block_devices=True, block_devices_mode="reattach"),
    compute=Compute(
        subnet_ids=["subnet-local-1a"],
        vpc_id="vpc-local",
        product="Linux/UNIX",
        elastic_ip=None,
        launch_specification=LaunchSpecification(
            instance_types=InstanceTypes(types=["m5.large", "m5.xlarge"]),
            image_id="ami-host",
            tags=[Tag(tag_key="team", tag_value="orders")],
            block_device_mappings=[
                BlockDeviceMapping(
                    device_name="/dev/xvdb",
                    ebs=EBS(volume_size=10, volume_type="gp3", throughput=125.0),
                )
            ],
        ),
    ),
)

made = client.create_managed_instance(node)
node_id = made["id"]
check(made["name"], "sdk")

read = client.get_managed_instance(node_id)
check(read, made)
launch = read["compute"]["launch_specification"]
check(launch["instance_types"]["types"], ["m5.large", "m5.xlarge"])
check(launch["block_device_mappings"][0]["ebs"]["throughput"], 125)
check(read["strategy"], {"life_cycle": "spot", "draining_timeout": 60, "fallback_to_od": True})

listed = client.get_managed_instances()
check([(item["id"], item["config"]["name"], item["name"]) for item in listed], [(node_id, "sdk", "sdk")])

patch = ManagedInstance(
    description="changed",
    strategy=Strategy(draining_timeout=None),
    compute=Compute(launch_specification=LaunchSpecification(instance_types=InstanceTypes(types=["m5.xlarge"]), tags=None)),
)
changed = client.update_managed_instance(node_id, patch)
check(changed["id"], node_id)
check(changed["description"], "changed")
check(changed["strategy"], {"life_cycle": "spot", "fallback_to_od": True})
launch = changed["compute"]["launch_specification"]
check(launch["instance_types"]["types"], ["m5.xlarge"])
check("tags" in launch, False)
check(launch["image_id"], "ami-host")

status = client.get_managed_instance_status(node_id)
check((status["status"], status["instance_type"]), ("ACTIVE", "m5.large"))

check(client.pause_managed_instance(node_id)["status"]["code"], 200)
check(client.get_managed_instance_status(node_id)["status"], "PAUSED")
check(client.resume_managed_instance(node_id)["status"]["code"], 200)
check(client.get_managed_instance_status(node_id)["status"], "ACTIVE")
check(client.recycle_managed_instance(node_id)["status"]["code"], 200)

message = refused(lambda: client.create_managed_instance(ManagedInstance(name="x", region="local-1")))
assert "compute.vpcId" in message and "persistence" in message, message

client.delete_managed_instance(
    node_id,
    deallocation_config=DeallocationConfig(
        should_delete_images=True,
        should_delete_network_interfaces=True,
        should_delete_volumes=True,
        should_delete_snapshots=True,
        should_terminate_instance=True,
    ),
    ami_backup=AmiBackup(should_delete_images=True),
)
message = refused(lambda: client.get_managed_instance(node_id))
assert "MANAGED_INSTANCE_DOESNT_EXIST" in message, message
assert "MANAGED_INSTANCE_DOES_NOT_EXIST" in refused(lambda: client.delete_managed_instance(node_id))

second = client.create_managed_instance(node)["id"]
client.delete_managed_instance(second)
check(client.get_managed_instances(), [])

wrong = SpotinstSession(base_url=base_url, auth_token="wrong").client("managed_instance_aws", print_output=False)
assert "UNAUTHORIZED" in refused(wrong.get_managed_instances)
