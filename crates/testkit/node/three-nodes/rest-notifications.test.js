import "./setup.js";
import "../rest-notifications.test.js";
