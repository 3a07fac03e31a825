from dlcore.core import cast_like
from dlcore.ops.arithmetic import *
from dlcore.ops.arithmetic import absolute as abs, pow, round
from dlcore.ops.transcendental import *
from dlcore.ops.shapes import *
from dlcore.ops.reductions import *
from dlcore.ops.products import *
