// Imported first: the tests of the next import run over three nodes.

import { useThreeNodes } from "../topology.js";

useThreeNodes();
