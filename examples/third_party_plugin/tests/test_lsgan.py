import genbench_lsgan

from genbench.testing import check_plugin


def test_the_plugin_keeps_the_contract():
    check_plugin(genbench_lsgan)
