"""Training the MDN-RNN: windows of episodes, losses, the learner."""
